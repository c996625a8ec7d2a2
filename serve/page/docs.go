package page

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var (
	//go:embed openapi.json
	openAPIText []byte
	//go:embed docs.html
	docsTemplate string
	//go:embed docs.css
	docsStyle []byte
)

// OpenAPI returns the API's description in OpenAPI 3.1, as JSON. The caller must not change it.
func OpenAPI() []byte { return openAPIText }

// openAPI is the part of an OpenAPI description that the page shows.
type openAPI struct {
	Info       struct{ Title, Summary, Description string }
	Tags       []struct{ Name, Description string }
	Paths      map[string]openAPIPath
	Components struct {
		Parameters    map[string]openAPIParameter
		RequestBodies map[string]openAPIContent
		Responses     map[string]openAPIContent
		Schemas       map[string]openAPISchema
	}
}

type openAPIPath struct {
	Parameters []openAPIParameter
	Get, Post  *openAPIOperation
}

type openAPIOperation struct {
	Tags                 []string
	Summary, Description string
	Parameters           []openAPIParameter
	RequestBody          *openAPIContent
	Responses            map[string]openAPIContent
	Samples              []struct{ Label, Source string } `json:"x-codeSamples"`

	Method, Path string `json:"-"`
}

type openAPIParameter struct {
	Ref                   string `json:"$ref"`
	Name, In, Description string
	Schema                openAPISchema
}

// openAPIContent is the body of a request or response.
type openAPIContent struct {
	Ref         string `json:"$ref"`
	Description string
	Content     map[string]struct {
		Schema  openAPISchema
		Example json.RawMessage
	}
}

type openAPISchema struct {
	Ref                          string `json:"$ref"`
	Type                         typeNames
	Description, ContentEncoding string
	Properties                   map[string]openAPISchema
	Required                     []string
	Items                        *openAPISchema
	OneOf                        []openAPISchema
	Enum                         []any
	Const, Default               any
	Status                       int `json:"x-status"`
}

// typeNames are the types of a value, in words. OpenAPI has a string or an array of strings.
type typeNames string

// UnmarshalJSON decodes the types.
func (t *typeNames) UnmarshalJSON(data []byte) error {
	var several []string
	if json.Unmarshal(data, &several) == nil {
		*t = typeNames(strings.Join(several, " or "))
		return nil
	}
	return json.Unmarshal(data, (*string)(t))
}

// docsPage returns the documentation page. It panics if our own description is invalid.
func docsPage(text []byte) []byte {
	var api openAPI
	if err := json.Unmarshal(text, &api); err != nil {
		panic("page: openapi.json: " + err.Error())
	}
	page := template.Must(template.New("docs").Funcs(template.FuncMap{
		"text": codeText, "type": typeText, "operations": api.operations, "parameter": api.parameter, "body": api.body,
		"answer": api.answer, "kinds": api.kinds,
		"anchor": func(name string) string { return strings.ReplaceAll(name, " ", "-") },
		"indent": func(v json.RawMessage) (string, error) {
			var b bytes.Buffer
			err := json.Indent(&b, v, "", "  ")
			return b.String(), err
		},
	}).Parse(docsTemplate))
	var b bytes.Buffer
	if err := page.Execute(&b, api); err != nil {
		panic("page: docs.html: " + err.Error())
	}
	return b.Bytes()
}

// operations returns the operations with a tag, in the order of their paths.
func (a openAPI) operations(tag string) []openAPIOperation {
	var all []openAPIOperation
	for _, path := range slices.Sorted(maps.Keys(a.Paths)) {
		item := a.Paths[path]
		for i, o := range []*openAPIOperation{item.Get, item.Post} {
			if o != nil && slices.Contains(o.Tags, tag) {
				this := *o
				this.Method, this.Path = []string{http.MethodGet, http.MethodPost}[i], path
				this.Parameters = slices.Concat(item.Parameters, o.Parameters)
				all = append(all, this)
			}
		}
	}
	return all
}

func (a openAPI) parameter(p openAPIParameter) (openAPIParameter, error) {
	return resolve(p, p.Ref, a.Components.Parameters)
}

func (a openAPI) body(c *openAPIContent) (openAPIContent, error) {
	return resolve(*c, c.Ref, a.Components.RequestBodies)
}

func (a openAPI) answer(c openAPIContent) (openAPIContent, error) {
	return resolve(c, c.Ref, a.Components.Responses)
}

// kinds returns the kinds of errors with a status.
func (a openAPI) kinds(status string) []openAPISchema {
	return slices.DeleteFunc(slices.Clone(a.Components.Schemas["Kind"].OneOf),
		func(k openAPISchema) bool { return strconv.Itoa(k.Status) != status })
}

// resolve returns the component that ref refers to, or the value itself if ref is empty.
func resolve[T any](value T, ref string, components map[string]T) (T, error) {
	if ref == "" {
		return value, nil
	}
	found, ok := components[refName(ref)]
	if !ok {
		return value, fmt.Errorf("%s does not exist", ref)
	}
	return found, nil
}

// refName returns the last part of a reference such as #/components/schemas/Kind.
func refName(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// codeText returns a text as HTML, with the parts between backticks as code.
func codeText(s string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(s, "`") {
		part = template.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String())
}

// typeText returns the type of a value as HTML. Named types link to their description.
func typeText(s openAPISchema) template.HTML {
	var parts []string
	switch {
	case s.Ref != "":
		name := template.HTMLEscapeString(refName(s.Ref))
		return template.HTML(fmt.Sprintf(`<a href="#%s">%s</a>`, name, name))
	case s.Const != nil:
		return codeText(fmt.Sprintf("`%v`", s.Const))
	case len(s.Enum) > 0:
		for _, v := range s.Enum {
			if v != nil { // null stands for a missing value
				parts = append(parts, string(codeText(fmt.Sprintf("`%v`", v))))
			}
		}
	case len(s.OneOf) > 0:
		for _, one := range s.OneOf {
			parts = append(parts, string(typeText(one)))
		}
	case s.Type == "array" && s.Items != nil:
		if items := typeText(*s.Items); items != "" {
			return "array of " + items
		}
		return "array"
	case s.ContentEncoding != "":
		return template.HTML(template.HTMLEscapeString(string(s.Type) + ", " + s.ContentEncoding))
	default:
		return template.HTML(template.HTMLEscapeString(string(s.Type)))
	}
	return template.HTML(strings.Join(parts, " or "))
}
