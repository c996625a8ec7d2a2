package store

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"garb/dataset"
)

// secret is what no message may contain. No part of a message has it by chance.
const secret = "Hq7Zx"

// messages returns what the package says about an argument that cannot be opened.
func messages(argument string) string {
	l, err := parse(argument)
	all := []string{l.String()}
	if err == nil {
		err = l.fail(ErrDenied, "", &url.Error{Op: "Get", URL: argument, Err: context.Canceled})
	}
	all = append(all, err.Error())
	if err == nil || l.isFile() {
		for _, err := range listed(argument) {
			all = append(all, err.Error())
		}
	}
	return strings.Join(all, "\n")
}

// listed returns the errors of a listing.
func listed(argument string) (all []error) {
	s := New(Default())
	defer s.Close()
	for _, err := range s.List(context.Background(), argument, &dataset.Tally{}) {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

func TestMessagesHaveNoCredentials(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[ -~é]{0,6}`)
		scheme := rapid.SampledFrom([]string{"s3", "S3", "gs", "azblob", "file", "http", "x", "1s", " s3"}).Draw(t,
			"scheme")
		host := rapid.StringMatching(`[a-z][a-z0-9.-]{0,8}`).Draw(t, "host")
		key := rapid.StringMatching(`(/[a-z0-9 %@:é]{0,6}){0,3}`).Draw(t, "key")
		password := part.Draw(t, "before") + secret + part.Draw(t, "after")
		value := part.Draw(t, "value") + secret
		for _, argument := range []string{
			scheme + "://user:" + password + "@" + host + key,
			scheme + "://" + host + key + "?signature=" + value,
			scheme + "://user:" + password + "@" + host + key + "?signature=" + value,
		} {
			if text := messages(argument); strings.Contains(text, secret) {
				t.Fatalf("the messages of %q have the secret:\n%s", argument, text)
			}
		}
	})
}

func TestLocationsInMessages(t *testing.T) {
	for given, want := range map[string]string{
		"s3://bucket/a@b.jpg":               "s3://bucket/a@b.jpg",
		"s3://bucket/a?endpoint=http://m:9": "s3://bucket/a",
		"s3://user:pass@bucket/a":           "s3://bucket/a",
		"s3://user:pa/ss@bucket/a":          "s3://…",
		"s3://user:pa?ss@bucket/a":          "s3://…",
		"s3://user:pa#ss@bucket/a":          "s3://…",
		"s3://us er:p\"s@bucket/a":          "s3://bucket/a",
		"folder/a?b@c:d.jpg":                "folder/a?b@c:d.jpg",
	} {
		if got := (location{given: given}).String(); got != want {
			t.Errorf("%q is shown as %q, want %q", given, got, want)
		}
	}
}

// FuzzParse parses arguments. What parses must name the same object when it is written again.
func FuzzParse(f *testing.F) {
	for _, argument := range []string{
		"s3://bucket/a%20b?region=x", "s3://user:pass@bucket/a", "file:///a/b", "folder/a", "s3://b/%3F#c",
		"://", "s3://",
	} {
		f.Add(argument)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		l, err := parse(argument)
		if kind := kindOf(err, nil); err != nil && !errors.Is(kind, ErrURL) {
			t.Fatalf("the error of %q is of the kind %v", argument, kind)
		}
		if err != nil || l.isFile() {
			return
		}
		again, err := parse(l.join(l.key))
		if err != nil || again.key != l.key || again.bucketURL().String() != l.bucketURL().String() {
			t.Fatalf("%q names the key %q, but written again %q (%v)", argument, l.key, again.key, err)
		}
		if strings.Contains(l.String(), "?") {
			t.Fatalf("%q is shown with parameters, as %q", argument, l)
		}
	})
}
