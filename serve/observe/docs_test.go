package observe

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestDocsOperateMetrics checks that docs/operate.md lists the metrics that there are, with their types,
// labels and help texts, and that it names no other metric.
func TestDocsOperateMetrics(t *testing.T) {
	file, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	want := map[string]family{}
	for _, f := range NewMetrics(noDepth).families {
		want[f.name] = f
	}
	have := map[string]family{}
	row := regexp.MustCompile("(?m)^\\| `(garb_\\w+)` \\| (\\w+) \\| (.*?) \\| (.*?) \\|$")
	for _, r := range row.FindAllStringSubmatch(text, -1) {
		f := family{name: r[1], kind: r[2], help: r[4]}
		if r[3] != "–" {
			f.labels = strings.Split(r[3], ", ")
		}
		have[f.name] = f
	}
	for name, f := range want {
		if got := have[name]; !reflect.DeepEqual(got, f) {
			t.Errorf("docs/operate.md has %+v, not %+v", got, f)
		}
		delete(have, name)
	}
	if len(have) > 0 {
		t.Errorf("docs/operate.md lists metrics that do not exist: %v", have)
	}
	for _, name := range regexp.MustCompile(`garb_\w+`).FindAllString(text, -1) {
		if _, ok := want[regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")]; !ok {
			t.Errorf("docs/operate.md names %s, which does not exist", name)
		}
	}
}

// TestDocsOperateVariables checks that docs/operate.md names the variables that garb reads itself.
func TestDocsOperateVariables(t *testing.T) {
	file, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("environment.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`variable\("(OTEL_\w+)"\)`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(string(file), "`"+name[1]) {
			t.Errorf("docs/operate.md does not name %s", name[1])
		}
	}
}
