package access

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocsKeyFile: docs/operate.md has an example of a key file, and describes the fields that there are.
func TestDocsKeyFile(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## API keys\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var example strings.Builder
	for line := range strings.Lines(section) {
		if code, ok := strings.CutPrefix(line, "    "); ok {
			example.WriteString(code)
		}
	}
	entries, err := parseKeys([]byte(example.String()))
	if err != nil || len(entries) != 2 {
		t.Errorf("the example: %d keys, %v", len(entries), err)
	}

	var want, have []string
	for field := range reflect.TypeFor[keyTable]().Fields() {
		want = append(want, field.Tag.Get("toml"))
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(row[1], -1) {
			have = append(have, name[1])
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("the page describes %v, there are %v", have, want)
	}
}
