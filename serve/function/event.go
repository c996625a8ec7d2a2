package function

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// form is the form of an event.
type form int

const (
	direct   form = iota // {"url": …} or {"picture": …}, by Lambda's own API
	payload1             // of a REST API, or of an HTTP API with payload format 1.0
	payload2             // of a function URL, or of an HTTP API with payload format 2.0
)

// event has the fields of all forms that a request needs. Lambda's library has a type for each form, but
// which one it is must be known first, and an event may have 6 MB: it is parsed once.
type event struct {
	form form
	raw  []byte

	// Payload format 1.0.
	Method            string              `json:"httpMethod"`
	Path              string              `json:"path"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`

	// Payload format 2.0.
	RawPath  string   `json:"rawPath"`
	RawQuery string   `json:"rawQueryString"`
	Cookies  []string `json:"cookies"`

	// Both.
	Version  string            `json:"version"`
	Headers  map[string]string `json:"headers"`
	Body     string            `json:"body"`
	IsBase64 bool              `json:"isBase64Encoded"`
	Context  struct {
		Stage      string `json:"stage"`
		DomainName string `json:"domainName"`
		Identity   struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
		HTTP *struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
		LoadBalancer json.RawMessage `json:"elb"`
	} `json:"requestContext"`

	// Neither.
	URL     json.RawMessage `json:"url"`
	Picture json.RawMessage `json:"picture"`
}

// parseEvent parses an event, and finds its form.
func parseEvent(payload []byte) (*event, error) {
	e := &event{raw: payload}
	if err := json.Unmarshal(payload, e); err != nil {
		return nil, refuseEvent("the event cannot be read: %v", err)
	}
	switch {
	case e.Context.LoadBalancer != nil:
		return nil, refuseEvent("the event comes from an Application Load Balancer, which is not supported; use a " +
			"function URL or API Gateway")
	case e.Version == "2.0" && e.Context.HTTP != nil && e.Context.HTTP.Method != "":
		e.form = payload2
	case e.Version != "2.0" && e.Method != "":
		e.form = payload1
	case e.URL != nil || e.Picture != nil:
		e.form = direct
	default:
		return nil, refuseEvent("the event has an unknown form (%s); a function URL, API Gateway and "+
			`{"url": "https://…"} are supported`, describeKeys(payload))
	}
	return e, nil
}

// refuseEvent returns the error of an event that has no answer.
func refuseEvent(format string, args ...any) error {
	return messages.InvokeResponse_Error{Type: "unknown_event", Message: fmt.Sprintf(format, args...)}
}

// describeKeys describes the keys of an object, as far as they make sense in an error.
func describeKeys(payload []byte) string {
	const most, longest = 8, 40
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil || len(fields) == 0 {
		return "it has no keys"
	}
	keys := slices.Sorted(maps.Keys(fields))
	more := ""
	if len(keys) > most {
		keys, more = keys[:most], ", …"
	}
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%.*q", longest, k)
	}
	return "its keys are " + strings.Join(keys, ", ") + more
}

// newRequest returns the request of an event.
func (e *event) newRequest(ctx context.Context) *http.Request {
	r := &http.Request{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Method: e.Method, Header: http.Header{},
		RemoteAddr: e.Context.Identity.SourceIP,
	}
	var body io.Reader = strings.NewReader(e.Body)
	r.ContentLength = int64(len(e.Body))
	switch e.form {
	case direct:
		r.Method, body, r.ContentLength = http.MethodPost, bytes.NewReader(e.raw), int64(len(e.raw))
		r.URL = &url.URL{Path: "/v1/classify", RawQuery: "top=" + strconv.Itoa(math.MaxInt32)}
		r.Header.Set("Content-Type", "application/json")
	case payload1:
		r.URL = parsePath(e.Path)
		if e.Version != "" { // of an HTTP API
			r.URL = parsePath(e.cutStage(e.Path))
		}
		r.URL.RawQuery = e.encodeQuery()
	case payload2:
		r.Method, r.RemoteAddr = e.Context.HTTP.Method, e.Context.HTTP.SourceIP
		r.URL = parsePath(e.cutStage(e.RawPath))
		r.URL.RawQuery = e.RawQuery
	}
	if e.form != direct {
		e.copyHeaders(r)
	}
	if e.IsBase64 && e.form != direct {
		// It is decoded while it is read, so that a wrong character is an error of the body.
		body = base64.NewDecoder(base64.StdEncoding, body)
		padding := len(e.Body) - len(strings.TrimRight(e.Body, "="))
		r.ContentLength = int64(max(base64.StdEncoding.DecodedLen(len(e.Body))-padding, 0))
	}
	r.Body = io.NopCloser(body)
	r.RequestURI = r.URL.RequestURI()
	return r.WithContext(ctx)
}

// parsePath returns the URL of a path, which gateways have decoded in part: what cannot be decoded stands
// for itself.
func parsePath(path string) *url.URL {
	path = "/" + strings.TrimPrefix(path, "/")
	u := &url.URL{Path: path}
	if decoded, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = decoded, path
	}
	return u
}

// cutStage returns a path without the stage of an HTTP API, which the paths of its events begin with.
func (e *event) cutStage(path string) string {
	rest, ok := strings.CutPrefix(path, "/"+e.Context.Stage)
	if e.Context.Stage == "" || e.Context.Stage == "$default" || !ok || rest != "" && rest[0] != '/' {
		return path
	}
	return rest
}

// encodeQuery returns the query of an event of payload format 1.0.
func (e *event) encodeQuery() string {
	query := url.Values(e.MultiValueQuery)
	if query == nil {
		query = url.Values{}
		for k, v := range e.Query {
			query.Set(k, v)
		}
	}
	return query.Encode()
}

// copyHeaders copies the headers of an event.
func (e *event) copyHeaders(r *http.Request) {
	for k, v := range e.Headers {
		r.Header.Set(k, v)
	}
	for k, values := range e.MultiValueHeaders {
		r.Header.Del(k)
		for _, v := range values {
			r.Header.Add(k, v)
		}
	}
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	if r.Host = r.Header.Get("Host"); r.Host == "" {
		r.Host = e.Context.DomainName
	}
	r.Header.Del("Host") // where net/http has it
}
