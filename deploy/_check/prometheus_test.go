package check

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// readMetrics returns the names of all metrics: those of docs/operate.md and those that every
// process has.
func readMetrics(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"up": true, "go_goroutines": true, "process_resident_memory_bytes": true,
		"process_cpu_seconds_total": true, "process_open_fds": true, "process_max_fds": true}
	rows := regexp.MustCompile("(?m)^\\| `(garb_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 10 {
		t.Fatalf("docs/operate.md lists %d metrics", len(rows))
	}
	for _, row := range rows {
		names[row[1]] = true
		if row[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[row[1]+suffix] = true
			}
		}
	}
	return names
}

// checkExpression checks that an expression parses and that its metrics exist.
func checkExpression(t *testing.T, metrics map[string]bool, expression string) {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %v", expression, err)
		return
	}
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if !metrics[v.Name] {
			t.Errorf("there is no metric %q in %s", v.Name, expression)
		}
		for _, m := range v.LabelMatchers {
			if m.Name == "job" && m.Type == labels.MatchEqual {
				return nil
			}
		}
		t.Errorf("%s of other jobs is taken, too: %s", v.Name, expression)
		return nil
	})
}

func TestPrometheusRules(t *testing.T) {
	text, err := os.ReadFile("../prometheus-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}),
		slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	metrics := readMetrics(t)
	seen := map[string]bool{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			checkExpression(t, metrics, r.Expr)
			if seen[r.Alert] || r.Alert == "" {
				t.Errorf("the alert %q exists twice, or has no name", r.Alert)
			}
			seen[r.Alert] = true
			if s := r.Labels["severity"]; s != "page" && s != "ticket" && s != "review" {
				t.Errorf("%s has the severity %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s has no summary or no description", r.Alert)
			}
		}
	}
	if len(seen) < 15 {
		t.Errorf("%d alerts", len(seen))
	}
}

// panel has the fields of a panel that Grafana needs.
type panel struct {
	ID         int    `json:"id"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct{ X, Y, W, H int } `json:"gridPos"`
	Targets []struct {
		RefID      string `json:"refId"`
		Expression string `json:"expr"`
	} `json:"targets"`
}

func TestGrafanaDashboard(t *testing.T) {
	text, err := os.ReadFile("../grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID           string  `json:"uid"`
		Title         string  `json:"title"`
		SchemaVersion int     `json:"schemaVersion"`
		Panels        []panel `json:"panels"`
		Templating    struct {
			List []struct{ Name, Type string } `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.Title == "" || dashboard.SchemaVersion < 39 || len(dashboard.Panels) < 15 {
		t.Errorf("%q %q, schema %d, %d panels", dashboard.UID, dashboard.Title, dashboard.SchemaVersion,
			len(dashboard.Panels))
	}
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range dashboard.Templating.List {
		variables[v.Name] = true
	}
	for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(string(text), -1) {
		if !variables[m[1]] && m[1] != "__all" {
			t.Errorf("there is no variable %s", m[1])
		}
	}
	metrics := readMetrics(t)
	ids, cells := map[int]bool{}, map[[2]int]int{}
	for _, p := range dashboard.Panels {
		if p.ID < 1 || ids[p.ID] || p.Title == "" {
			t.Errorf("the panel %d %q has no title, or an id that is taken", p.ID, p.Title)
		}
		ids[p.ID] = true
		checkPlace(t, p, cells)
		checkTargets(t, p, metrics)
	}
}

// checkPlace checks that a panel is on the grid of 24 columns, and overlaps no other.
func checkPlace(t *testing.T, p panel, cells map[[2]int]int) {
	t.Helper()
	g := p.GridPos
	if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
		t.Errorf("%q is outside of the grid: %+v", p.Title, g)
	}
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			if other, taken := cells[[2]int{x, y}]; taken {
				t.Errorf("%q overlaps the panel %d", p.Title, other)
				return
			}
			cells[[2]int{x, y}] = p.ID
		}
	}
}

// checkTargets checks the expressions of a panel.
func checkTargets(t *testing.T, p panel, metrics map[string]bool) {
	t.Helper()
	switch p.Type {
	case "row":
		return
	case "timeseries", "table":
	default:
		t.Errorf("%q has the type %q", p.Title, p.Type)
	}
	if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
		t.Errorf("%q has no expression, or its own data source", p.Title)
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if target.RefID == "" || refs[target.RefID] {
			t.Errorf("%q uses the refId %q twice", p.Title, target.RefID)
		}
		refs[target.RefID] = true
		checkExpression(t, metrics, strings.ReplaceAll(target.Expression, "$__rate_interval", "5m"))
	}
}
