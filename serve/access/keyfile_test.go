package access

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// secret is a key that no error may contain.
const secret = "0123456789abcdef0123456789abcdef"

const shopFile = `# keys of the shop
[[key]]
name = "shop"
key = "` + secret + `"
requests_per_second = 10
pictures_per_second = 50
bytes_per_second = 1e7
burst_seconds = 2.5
max_pictures = 16
not_after = 2027-01-01T00:00:00Z

[[key]]
name = "warehouse"
sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08" # of "test"
`

func digest(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

func TestParseKeysTOML(t *testing.T) {
	want := []entry{
		{"shop", digest(secret), Limits{10, 50, 1e7, 2.5, 16}, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"warehouse", digest("test"), Limits{BurstSeconds: 10}, time.Time{}},
	}
	for name, text := range map[string]string{
		"as written":      shopFile,
		"CRLF":            strings.ReplaceAll(shopFile, "\n", "\r\n"),
		"byte order mark": "\uFEFF" + shopFile,
		"both":            "\uFEFF" + strings.ReplaceAll(shopFile, "\n", "\r\n"),
		"empty lines":     "\n \n" + shopFile + "\n\n",
	} {
		got, err := parseKeys([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestParseKeysLines(t *testing.T) {
	line := func(n int, key string) entry {
		return entry{name: fmt.Sprintf("line-%d", n), digest: digest(key)}
	}
	for text, want := range map[string][]entry{
		"":                                  nil,
		"\n\n":                              nil,
		"# no key":                          nil,
		"\uFEFF":                            nil,
		"first\n":                           {line(1, "first")},
		"# of the shop\nfirst\n\n  two  \n": {line(2, "first"), line(4, "two")},
		"\uFEFFfirst\r\nsecond\r\n":         {line(1, "first"), line(2, "second")},
		"a passphrase with spaces\n":        {line(1, "a passphrase with spaces")},
		secret:                              {line(1, secret)}, // printf, or a Kubernetes secret
		"YWJjZGVmZ2hpamtsbW5vcA==\n":        {line(1, "YWJjZGVmZ2hpamtsbW5vcA==")},
		"schlüssel\n":                       {line(1, "schlüssel")},
	} {
		got, err := parseKeys([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestParseKeysRefuses(t *testing.T) {
	table := func(fields ...string) string {
		return "[[key]]\nname = \"shop\"\nkey = \"" + secret + "\"\n" + strings.Join(fields, "\n") + "\n"
	}
	for text, want := range map[string]string{
		"\xFF\xFEa\x00\n\x00":         "UTF-16",
		"\xFE\xFF\x00a\x00\n":         "UTF-16",
		"a\x00\n\x00":                 "not text in UTF-8",
		"\x00\x00\x00\x00":            "not text in UTF-8", // after a crash, file systems leave such files
		"caf\xE9\n":                   "not text in UTF-8",
		"a\x07b\n":                    "line 1 contains control characters",
		"first\nsec":                  "line 2 has no newline",
		strings.Repeat("a\n", 10_001): "there are 10001 keys",
		"first\nfirst\n":              "line-1 and line-2 are the same key",
		"name = \"shop\"\n":           "line 1 looks like TOML",
		"key = [{}]\n":                "line 1 looks like TOML",

		table("[key]"):                                            "line 4",
		table("color = 1"):                                        "line 4: there is no field key.color",
		table("models = ['a']"):                                   "line 4: there is no field key.models",
		table() + "[server]\nport = 1\n":                          "there is no field server",
		table("name = \"again\""):                                 "line 4",
		table("max_pictures = \"16\""):                            "line 4",
		table("max_pictures = 1.5"):                               "line 4",
		table("requests_per_second"):                              "line 4",
		table() + table():                                         "two keys have the name shop",
		table() + strings.Replace(table(), "p", "P", 1):           "shop and shoP are the same key",
		"[[keys]]\nname = \"shop\"\n":                             "there is no field keys",
		"[[key]]\n":                                               "name must be",
		"[[key]]\nname = \"a b\"\n":                               "name must be",
		"[[key]]\nname = \"shop\"\n":                              "either key or sha256",
		table("sha256 = \"ab\""):                                  "either key or sha256",
		"[[key]]\nname = \"shop\"\nsha256 = \"ab\"\n":             "64 hexadecimal digits",
		"[[key]]\nname = \"shop\"\nkey = \"0123456789abcde\"\n":   "at least 16",
		"[[key]]\nname = \"shop\"\nkey = \"0123456789 abcdef\"\n": "without spaces",
		"[[key]]\nname = \"shop\"\nkey = " + secret + "\n":        "line 3",
		"[[key]]\nname = \"shop\"\nkey = \"" + secret + "\n":      "line 3",
		strings.TrimSuffix(table(), "\n\n"):                       "no newline",

		table("requests_per_second = 0"):         "requests_per_second must be from",
		table("requests_per_second = -1"):        "requests_per_second must be from",
		table("pictures_per_second = nan"):       "pictures_per_second must be from",
		table("bytes_per_second = inf"):          "bytes_per_second must be from",
		table("bytes_per_second = 1e300"):        "bytes_per_second must be from",
		table("burst_seconds = 1e9"):             "burst_seconds must be from",
		table("max_pictures = 0"):                "max_pictures must be from",
		table("max_pictures = 99999999999999"):   "max_pictures must be from",
		table("not_after = 2027-01-01"):          "with its zone",
		table("not_after = 2027-01-01T00:00:00"): "with its zone",
		table("not_after = \"tomorrow\""):        "with its zone",
	} {
		_, err := parseKeys([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error contains the key: %v", err)
		}
	}
}

// TestKilledWriter: whatever part of a file a killed writer leaves, no key is known that can be guessed.
func TestKilledWriter(t *testing.T) {
	known := map[[sha256.Size]byte]bool{digest(secret): true, digest("test"): true}
	for n := range len(shopFile) {
		entries, err := parseKeys([]byte(shopFile[:n]))
		for _, e := range entries {
			if !known[e.digest] {
				t.Errorf("%d bytes of the TOML form: a key that is not in the file", n)
			}
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%d bytes: the error contains the key: %v", n, err)
		}
	}
	lines := "# two keys\n" + secret + "\nfedcba9876543210\n"
	for _, key := range []string{secret, "fedcba9876543210"} {
		for n := minKeyLength; n <= len(key); n++ {
			known[digest(key[:n])] = true
		}
	}
	for n := range len(lines) {
		entries, _ := parseKeys([]byte(lines[:n]))
		for _, e := range entries {
			if !known[e.digest] {
				t.Errorf("%d bytes of lines: a key that can be guessed", n)
			}
		}
	}
}

// BenchmarkFind measures the comparison of a key with as many as a file may have.
func BenchmarkFind(b *testing.B) {
	keys := make([]*Key, maxKeys)
	for i := range keys {
		keys[i] = &Key{digest: digest(fmt.Sprint(i))}
	}
	for b.Loop() {
		if find(keys, "0") != keys[0] {
			b.Fatal("not found")
		}
	}
}

// FuzzParseKeys: a key file yields an error, or keys with unique names and digests and limits in bounds.
func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(shopFile))
	f.Add([]byte("\uFEFF# comment\r\nfirst\r\nsecond\r\n"))
	f.Add([]byte("[[key]]\nname='a'\nkey='0123456789abcdef'\nmax_pictures=1\nnot_after=2027-01-01T00:00:00+01:00\n"))
	f.Add([]byte("[[key]]\nname='a'\nsha256='zz'\n[[key]]\nburst_seconds=-inf\n"))
	f.Add([]byte("\xFF\xFEa\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := parseKeys(text)
		if err != nil {
			if len(entries) > 0 && checkEntries(entries) == nil {
				t.Error("both keys and an error")
			}
			return
		}
		if err := checkEntries(entries); err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if !keyName.MatchString(e.name) || e.digest == [sha256.Size]byte{} {
				t.Errorf("%+v", e)
			}
			u := &usage{}
			u.setLimits(e.limits)
			if err := u.admit(e.name, Cost{Requests: 1, Pictures: 1, Bytes: 1}, time.Unix(0, 0)); err != nil {
				t.Errorf("%+v admits nothing: %v", e.limits, err)
			}
		}
	})
}
