package page

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"garb/serve/request"
)

// TestPageFiles: the page keeps to its policy by itself, contacts nobody else, and writes
// no text as HTML.
func TestPageFiles(t *testing.T) {
	served := map[string]bool{"index.html": true}
	for _, a := range pageAssets {
		served[a.name] = true
	}
	const forbidden = `(?i)<style|\sstyle=|\son\w+=|javascript:|<script[^>]*>[^<]|` + // inline
		`https?://|["'(=]//|@import|sourceMappingURL|` + // from elsewhere
		`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|document\.cookie`
	bad := regexp.MustCompile(forbidden)
	err := fs.WalkDir(pageFiles, "assets", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !served[entry.Name()] {
			t.Errorf("%s is embedded and not served", path)
		}
		text, err := pageFiles.ReadFile(path)
		found := bad.FindAllString(strings.ReplaceAll(string(text), `xmlns="http://www.w3.org/2000/svg"`, ""), -1)
		if len(found) > 0 {
			t.Errorf("%s has %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPageKnowsEveryKind: what the service says of a picture, the page can say in words.
func TestPageKnowsEveryKind(t *testing.T) {
	script, err := pageFiles.ReadFile("assets/app.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"not_a_picture", "too_large", "unsupported", "corrupt", "full", "stopping", "late",
		"no_such_model", "internal"} {
		if !regexp.MustCompile(`(?m)^  ` + kind + `: '`).Match(script) {
			t.Errorf("the page has no sentence for %s", kind)
		}
	}
	for _, k := range request.Kinds() {
		if !regexp.MustCompile(`\b`+k.Name+`\b`).Match(script) && !otherKinds[k.Name] {
			t.Errorf("the page does not know %s", k.Name)
		}
	}
}

// otherKinds are those that the page cannot meet.
var otherKinds = map[string]bool{"media_type": true, "bad_request": true, "not_found": true, "method": true,
	"forbidden": true, "unavailable": true, "gone": true, "cross_origin": true, "wrong_host": true,
	"no_such_answer": true, "feedback_full": true}
