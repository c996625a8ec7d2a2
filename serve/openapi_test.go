package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/answers"
	"garb/model"
	"garb/serve/page"
	"garb/serve/registry"
	"garb/serve/request"
)

// described is openapi.json as it is.
func described(t *testing.T) map[string]any {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(page.OpenAPI(), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows keys into a value, to nil if there is nothing.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// list is an array, empty if there is none.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// object is an object, empty if there is none.
func object(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}

// resolved follows a reference.
func resolved(d map[string]any, v any) map[string]any {
	if ref, ok := at(v, "$ref").(string); ok {
		return resolved(d, at(d, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...))
	}
	return object(v)
}

// operation is one of the described operations.
type operation struct {
	method, path string
	item, value  map[string]any
}

func (o operation) String() string { return o.method + " " + o.path }

func operations(d map[string]any) []operation {
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(object(d["paths"]))) {
		item := object(at(d, "paths", path))
		for _, method := range []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"} {
			if value, ok := item[method]; ok {
				all = append(all, operation{strings.ToUpper(method), path, item, object(value)})
			}
		}
	}
	return all
}

// TestOpenAPIIsSound holds the description against what OpenAPI 3.1 asks of one; the
// page, too, can be made of it.
//
//nolint:gocognit,funlen // independent rules of OpenAPI, one after another
func TestOpenAPIIsSound(t *testing.T) {
	d := described(t)
	if version, _ := d["openapi"].(string); !strings.HasPrefix(version, "3.1.") || at(d, "info", "title") == nil ||
		at(d, "info", "version") == nil {
		t.Errorf("openapi %v, info %v", d["openapi"], d["info"])
	}
	used := map[string]bool{}
	var walk func(where string, v any)
	walk = func(where string, v any) {
		for k, inner := range object(v) {
			if k == "$ref" && where != "" {
				ref := inner.(string)
				used[ref] = true
				if len(resolved(d, v)) == 0 {
					t.Errorf("%s: there is no %s", where, ref)
				}
			}
			walk(where+"/"+k, inner)
		}
		for i, inner := range list(v) {
			walk(where+"/"+strconv.Itoa(i), inner)
		}
	}
	walk("#", d)
	for kind, all := range object(d["components"]) {
		for name := range object(all) {
			if ref := "#/components/" + kind + "/" + name; kind != "securitySchemes" && !used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}
	var tags []string
	for _, tag := range list(d["tags"]) {
		tags = append(tags, at(tag, "name").(string))
	}
	ids := map[string]bool{}
	for _, o := range operations(d) {
		id, _ := o.value["operationId"].(string)
		if id == "" || ids[id] || o.value["summary"] == nil {
			t.Errorf("%v: its operationId %q is another's too or none, or it has no summary", o, id)
		}
		ids[id] = true
		for _, tag := range list(o.value["tags"]) {
			if !slices.Contains(tags, tag.(string)) {
				t.Errorf("%v: tag %v", o, tag)
			}
		}
		var inPath []string
		for _, p := range slices.Concat(list(o.item["parameters"]), list(o.value["parameters"])) {
			parameter := resolved(d, p)
			if parameter["name"] == nil || parameter["schema"] == nil || parameter["description"] == nil {
				t.Errorf("%v: parameter %v", o, parameter)
			}
			if parameter["in"] == "path" {
				inPath = append(inPath, "{"+parameter["name"].(string)+"}")
				if parameter["required"] != true {
					t.Errorf("%v: %v is a part of the path and not required", o, parameter["name"])
				}
			}
		}
		if named := regexp.MustCompile(`\{\w+\}`).FindAllString(o.path, -1); !slices.Equal(named, inPath) {
			t.Errorf("%v: parameters %v are described", o, inPath)
		}
		for _, security := range list(o.value["security"]) {
			for name := range object(security) {
				if at(d, "components", "securitySchemes", name) == nil {
					t.Errorf("%v: security %s", o, name)
				}
			}
		}
		for status, r := range object(o.value["responses"]) {
			if n, err := strconv.Atoi(status); err != nil || http.StatusText(n) == "" ||
				resolved(d, r)["description"] == nil {
				t.Errorf("%v: answer %s", o, status)
			}
		}
	}
}

// TestOpenAPIExamples holds every example against the schema beside it.
func TestOpenAPIExamples(t *testing.T) {
	d := described(t)
	var walk func(where string, v any)
	walk = func(where string, v any) {
		if example := at(v, "example"); example != nil && at(v, "schema") != nil {
			if problem := breaks(d, at(v, "schema"), example); problem != "" {
				t.Errorf("%s: %s", where, problem)
			}
		}
		for k, inner := range object(v) {
			walk(where+"/"+k, inner)
		}
		for i, inner := range list(v) {
			walk(where+"/"+strconv.Itoa(i), inner)
		}
	}
	walk("#", d)
}

// breaks says how a value breaks a schema, "" if it does not. Of JSON Schema it knows
// what openapi.json uses. An object has no property that its schema does not name.
//
//nolint:gocognit,funlen // a list of the rules of JSON Schema
func breaks(d map[string]any, schema, v any) string {
	s := resolved(d, schema)
	if one := list(s["oneOf"]); len(one) > 0 {
		var problems []string
		for _, alternative := range one {
			problems = append(problems, breaks(d, alternative, v))
		}
		if i := slices.Index(problems, ""); i < 0 {
			return "none of: " + strings.Join(problems, "; ")
		} else if slices.Contains(problems[i+1:], "") {
			return "two of its alternatives fit"
		}
		return ""
	}
	if c, ok := s["const"]; ok && v != c {
		return fmt.Sprintf("%v in place of %v", v, c)
	}
	if enum := list(s["enum"]); len(enum) > 0 && !slices.Contains(enum, v) {
		return fmt.Sprintf("%v is none of %v", v, enum)
	}
	is := "null"
	switch n := v.(type) {
	case string:
		is = "string"
	case bool:
		is = "boolean"
	case float64:
		is = "number"
		if n == float64(int64(n)) && s["type"] == "integer" {
			is = "integer"
		}
	case []any:
		is = "array"
	case map[string]any:
		is = "object"
	}
	if want, ok := s["type"]; ok && want != is && !slices.Contains(list(want), any(is)) {
		return fmt.Sprintf("%s in place of %v", is, want)
	}
	for i, item := range list(v) {
		if items, ok := s["items"]; ok {
			if problem := breaks(d, items, item); problem != "" {
				return fmt.Sprintf("[%d]: %s", i, problem)
			}
		}
	}
	properties, named := s["properties"]
	for _, name := range list(s["required"]) {
		if _, ok := object(v)[name.(string)]; !ok {
			return fmt.Sprintf("no %s", name)
		}
	}
	for name, value := range object(v) {
		inner, ok := object(properties)[name]
		more, open := s["additionalProperties"]
		if !ok && open && more != false {
			inner, ok = more, true
		}
		if (named || more == false) && !ok {
			return name + " is not described"
		}
		if problem := breaks(d, inner, value); ok && problem != "" {
			return name + ": " + problem
		}
	}
	return ""
}

// TestOpenAPIKinds: the kinds of errors are those of the table of statuses.
func TestOpenAPIKinds(t *testing.T) {
	want := map[string]int{}
	for _, k := range request.Kinds() {
		if k.Status != request.StatusClientGone { // which nobody is told
			want[k.Name] = k.Status
		}
	}
	d, have := described(t), map[string]int{}
	for _, k := range list(at(d, "components", "schemas", "Kind", "oneOf")) {
		have[at(k, "const").(string)] = int(at(k, "x-status").(float64))
	}
	if !maps.Equal(have, want) {
		t.Errorf("described: %v\nthere are: %v", have, want)
	}
	// Each is among the answers of what people use most, but for those of other addresses.
	for kind, status := range want {
		if at(d, "paths", "/v1/classify", "post", "responses", strconv.Itoa(status)) == nil && kind != "method" &&
			kind != "feedback_full" {
			t.Errorf("/v1/classify answers %d too", status)
		}
	}
}

// routes are the patterns that the package registers, read from its source: a ServeMux
// does not tell them.
func routes(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.go", "*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	route := regexp.MustCompile(`^[A-Z]+ /\S*$`)
	var all []string
	for _, name := range files {
		// functiontest serves AWS Lambda's API, for tests.
		if strings.HasSuffix(name, "_test.go") || filepath.Dir(name) == "functiontest" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				pattern, err := strconv.Unquote(literal.Value)
				if err == nil && route.MatchString(pattern) {
					all = append(all, pattern)
				}
			}
			return true
		})
	}
	return all
}

// TestOpenAPIDescribesTheRoutes: every route is described, but for what pages load, and
// every description is of a route.
func TestOpenAPIDescribesTheRoutes(t *testing.T) {
	d := described(t)
	r := start(t, &fake{}, func(c *Config) {
		labelStable(c)
		c.Answers = answers.Default(t.TempDir())
	})
	for _, pattern := range routes(t) {
		if strings.HasPrefix(pattern, "GET /page/") || strings.HasSuffix(pattern, ".css") {
			continue
		}
		mux := http.NewServeMux()
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
		if !slices.ContainsFunc(operations(d), func(o operation) bool {
			_, met := mux.Handler(httptest.NewRequest(o.method, filled(o.path), nil))
			return met != ""
		}) {
			t.Errorf("%s is not described", pattern)
		}
	}
	for _, o := range operations(d) {
		answer, text := ask(t, r, o.method, filled(o.path), "", nil)
		missing := answer.StatusCode == http.StatusNotFound && !bytes.Contains(text, []byte("no_such_answer"))
		if missing || answer.StatusCode == http.StatusMethodNotAllowed {
			t.Errorf("%v: %s %s", o, answer.Status, text)
		}
		if o.method != http.MethodGet {
			continue
		}
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%v: %s %s", o, answer.Status, text)
		}
		fits(t, d, o, answer, text)
	}
}

// labelStable gives the model of the tests the label in described paths.
func labelStable(c *Config) { c.Models.Labels = map[string]map[string]int{"m": {"stable": 1}} }

// filled is a described path with the model of the tests.
func filled(path string) string {
	return strings.NewReplacer("{model}", "m", "{version}", "1", "{label}", "stable").Replace(path)
}

func ask(t *testing.T, r *running, method, path, contentType string, body []byte, header ...string) (*http.Response,
	[]byte) {
	t.Helper()
	answer, text, err := try(t.Context(), method, r.url+path, contentType, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return answer, text
}

// fits holds an answer against its description.
func fits(t *testing.T, d map[string]any, o operation, answer *http.Response, text []byte) {
	t.Helper()
	described := resolved(d, at(o.value, "responses", strconv.Itoa(answer.StatusCode)))
	if len(described) == 0 {
		t.Errorf("%v: %s is not described: %s", o, answer.Status, text)
		return
	}
	kind, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if described["content"] == nil && kind == "" && len(text) == 0 { // it has none
		return
	}
	content, ok := object(described["content"])[kind]
	if !ok {
		t.Errorf("%v, %s: content type %q is not described", o, answer.Status, kind)
		return
	}
	for name := range object(described["headers"]) {
		if answer.Header.Get(name) == "" {
			t.Errorf("%v, %s: no %s", o, answer.Status, name)
		}
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%v, %s: %v", o, answer.Status, err)
		return
	}
	if problem := breaks(d, at(content, "schema"), v); problem != "" {
		t.Errorf("%v, %s: %s: %.300s", o, answer.Status, problem, text)
	}
}

// TestOpenAPIAnswers asks what the description says can be asked; what comes back is as
// it says, errors too.
//
//nolint:funlen,gocognit // mostly a table
func TestOpenAPIAnswers(t *testing.T) {
	d := described(t)
	r := start(t, &fake{}, nil)
	picture := base64.StdEncoding.EncodeToString(white())
	values := strings.TrimSuffix(strings.Repeat("0.5,", fakeSpec.ValueCount()), ",")
	row := "[" + strings.TrimSuffix(strings.Repeat("[0.5,0.5,0.5],", 8), ",") + "]"
	rows := "[" + strings.TrimSuffix(strings.Repeat(row+",", 8), ",") + "]"
	const classify, infer, predict = "/v1/classify", "/v2/models/{model}/infer", "/v1/models/{model}:predict"
	form, fields := form(t, white(), []byte("no picture"))
	for _, c := range []struct {
		path, query, contentType, body string
		status                         int
	}{
		{classify, "?top=1&explain=true", "image/gif", string(white()), http.StatusOK},
		{classify, "", form, string(fields), http.StatusOK},
		{classify, "", "application/json", `{"picture": "` + picture + `"}`, http.StatusOK},
		{classify, "", "application/json", `{"url": "https://images.example.org/shirts/1.jpg"}`, http.StatusForbidden},
		{classify, "?top=0", "image/gif", string(white()), http.StatusBadRequest},
		{classify, "?model=hats", "image/gif", string(white()), http.StatusNotFound},
		{classify, "", "text/html", "<p>", http.StatusUnsupportedMediaType},
		{classify, "", "", string(pngOf(60_000, 60_000)), http.StatusRequestEntityTooLarge},
		{classify, "", "", string(pngOf(8, 8)), http.StatusUnprocessableEntity},
		{infer, "", "application/json",
			`{"id": "a", "inputs": [{"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["` + picture +
				`"]}]}`, http.StatusOK},
		{infer, "", "application/json",
			`{"inputs": [{"name": "values", "datatype": "FP32", "shape": [1, 8, 8, 3], "data": [` + values +
				`]}], "outputs": [{"name": "class"}]}`, http.StatusOK},
		{infer, "", "application/json",
			`{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["` + picture +
				`"]}], "outputs": [{"name": "probabilities", "parameters": {"classification": 1}}]}`, http.StatusOK},
		{infer, "", "application/json",
			`{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["` + picture +
				`"]}], "parameters": {"binary_data_output": true}}`, http.StatusOK},
		{strings.Replace(infer, "/infer", "/versions/{version}/infer", 1), "", "application/json",
			`{"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [1], "data": ["` + picture + `"]}]}`,
			http.StatusOK},
		{predict, "", "application/json", `{"instances": [{"b64": "` + picture + `"}]}`, http.StatusOK},
		{predict, "", "application/json", `{"instances": [` + rows + `]}`, http.StatusOK},
		{predict, "", "application/json", `{"inputs": [{"b64": "` + picture + `"}]}`, http.StatusOK},
		{infer, "", "application/json", `{"inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}]}`,
			http.StatusBadRequest},
		{predict, "", "application/json",
			`{"signature_name": "serving_pictures", "inputs": {"picture": [{"b64": "` + picture + `"}]}}`,
			http.StatusOK},
		{predict, "", "application/json", `{`, http.StatusBadRequest},
		{strings.Replace(predict, ":predict", "/versions/{version}:predict", 1), "", "application/json",
			`{"instances": [{"b64": "` + picture + `"}]}`, http.StatusOK},
	} {
		o := operation{http.MethodPost, c.path, nil, object(at(d, "paths", c.path, "post"))}
		answer, text := ask(t, r, o.method, filled(c.path)+c.query, c.contentType, []byte(c.body))
		if answer.StatusCode != c.status {
			t.Errorf("%v %s: %s, not %d: %s", o, c.contentType, answer.Status, c.status, text)
		}
		fits(t, d, o, answer, text)
		var v any
		request := resolved(d, o.value["requestBody"])
		if c.contentType == "application/json" && c.status == http.StatusOK &&
			json.Unmarshal([]byte(c.body), &v) == nil {
			if problem := breaks(d, at(request, "content", c.contentType, "schema"), v); problem != "" {
				t.Errorf("%v: the request: %s", o, problem)
			}
		}
	}
}

// startExamples serves what the examples of openapi.json use: two versions of the model clothing, of which the
// first is stable, the control of models, and an answer that feedback can be about.
func startExamples(t *testing.T) *running {
	t.Helper()
	classifier, err := model.Open(model.Clothing, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, version := range []string{"1", "2"} {
		writeFile(t, filepath.Join(folder, "clothing", version, "m.safetensors"), []byte(version))
	}
	r := startWith(t, func(string) (Classifier, error) { return classifier, nil }, func(c *Config) {
		c.Answers = answers.Default(t.TempDir())
		c.Models.Models, c.Models.Folder, c.Models.Control = nil, folder, true
		c.Models.Policies = map[string]registry.Policy{"": {}}
		c.Models.Labels = map[string]map[string]int{"clothing": {"stable": 1}}
	})
	if answer, text := post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", "order-4711"); answer.StatusCode !=
		http.StatusOK {
		t.Fatal(string(text))
	}
	return r
}

// TestOpenAPIExamplesAreAnswered sends every example of a request; what comes back is as described.
func TestOpenAPIExamplesAreAnswered(t *testing.T) {
	d := described(t)
	r := startExamples(t)
	sent := 0
	for _, o := range operations(d) {
		if strings.HasPrefix(o.path, "/v2/repository/") { // each changes what is loaded
			r = startExamples(t)
		}
		path := o.path
		for _, p := range list(o.item["parameters"]) {
			if p := resolved(d, p); p["in"] == "path" {
				path = strings.ReplaceAll(path, "{"+p["name"].(string)+"}", fmt.Sprint(p["example"]))
			}
		}
		contents := object(resolved(d, o.value["requestBody"])["content"])
		if o.method == http.MethodPost && at(contents, "application/json", "example") == nil {
			t.Errorf("%v has no example", o)
		}
		for kind, content := range contents {
			example := at(content, "example")
			if example == nil {
				continue
			}
			body, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			answer, text := ask(t, r, o.method, path, kind, body)
			if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
				t.Errorf("%v: %s %s", o, answer.Status, text)
			}
			fits(t, d, o, answer, text)
			sent++
		}
	}
	if sent < 9 {
		t.Errorf("only %d examples were sent", sent)
	}
}

// TestOpenAPIKeys: what is described as open is, and all else asks for a key.
func TestOpenAPIKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := described(t)
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	for _, o := range operations(d) {
		security, own := o.value["security"]
		open := own && len(list(security)) == 0
		answer, text := ask(t, r, o.method, filled(o.path), "", nil)
		if (answer.StatusCode == http.StatusUnauthorized) == open {
			t.Errorf("%v: %s without a key", o, answer.Status)
		}
		if !open {
			fits(t, d, o, answer, text)
		}
		if answer, _ := ask(t, r, o.method, filled(o.path), "", nil, "X-Api-Key",
			"secret"); answer.StatusCode == http.StatusUnauthorized {
			t.Errorf("%v: %s with a key", o, answer.Status)
		}
	}
}

// TestDocsPage: the page has everything, and needs nothing from elsewhere.
func TestDocsPage(t *testing.T) {
	r := start(t, &fake{}, nil)
	answer, text := ask(t, r, http.MethodGet, "/docs", "", nil)
	page := string(text)
	if policy := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") ||
		strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, o := range operations(described(t)) {
		if !strings.Contains(page, "<b>"+o.method+"</b> <code>"+o.path+"</code>") {
			t.Errorf("%v is not on it", o)
		}
	}
	for name := range object(at(described(t), "components", "schemas")) {
		if strings.Count(page, `id="`+name+`"`) != 1 {
			t.Errorf("%s is not on it, or twice", name)
		}
	}
	ids := regexp.MustCompile(`id="([^"]*)"`).FindAllStringSubmatch(page, -1)
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		to := m[1]
		switch {
		case strings.HasPrefix(to, "#"):
			if !slices.ContainsFunc(ids, func(id []string) bool { return "#"+id[1] == to }) {
				t.Errorf("nothing on it is %s", to)
			}
		case strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"):
			if answer, _ := ask(t, r, http.MethodGet, to, "", nil); answer.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", to, answer.Status)
			}
		case to != "data:,":
			t.Errorf("it needs %s", to)
		}
	}
	for _, word := range []string{"<script", "<style", "style=", "onclick", "ZgotmplZ", "`", "<no value>", "url("} {
		if strings.Contains(page, word) ||
			strings.Contains(string(read(t, "page/docs.css")), word) && strings.HasSuffix(word, "(") {
			t.Errorf("it has %s", word)
		}
	}
}

// operate is the page for those who run the service.
func operate(t *testing.T) string {
	t.Helper()
	return string(read(t, "../docs/operate.md"))
}

// TestDocsOperateStatuses: docs/operate.md lists the statuses that there are.
func TestDocsOperateStatuses(t *testing.T) {
	var want []string
	for _, k := range request.Kinds() {
		want = append(want, fmt.Sprintf("%d %s", k.Status, k.Name))
	}
	var have []string
	for _, row := range regexp.MustCompile("(?m)^\\| (\\d{3}) \\| `(\\w+)` \\|").FindAllStringSubmatch(operate(t), -1) {
		have = append(have, row[1]+" "+row[2])
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("docs/operate.md: %v\nthere are:       %v", have, want)
	}
}

// TestDocsOperateLog: every field of the log that the source names is in docs/operate.md.
func TestDocsOperateLog(t *testing.T) {
	source := string(read(t, "middleware.go"))
	for _, field := range regexp.MustCompile(`slog\.\w+\("(\w+)"`).FindAllStringSubmatch(source, -1) {
		if !strings.Contains(operate(t), "| `"+field[1]+"` |") {
			t.Errorf("the log's field %s is not described", field[1])
		}
	}
}
