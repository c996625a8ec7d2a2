package function_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"garb/serve"
	"garb/serve/enginetest"
	"garb/serve/function"
)

// object is a JSON object.
type object = map[string]any

// newService returns the handler of a service with a small model.
func newService(t testing.TB, configure func(*serve.Config)) http.Handler {
	t.Helper()
	c := serve.Default()
	c.Engine.Workers = 1
	c.Models.Models = []serve.NamedModel{{Name: "light", Path: "light"}}
	if configure != nil {
		configure(&c)
	}
	s, err := serve.New(c, func(string) (serve.Classifier, error) { return &enginetest.Model{}, nil },
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Handler()
}

// encode encodes an event.
func encode(t testing.TB, event any) []byte {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// whitePicture is a PNG.
var whitePicture = func() []byte {
	m := image.NewGray(image.Rect(0, 0, 9, 9))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}()

// call is what the events of each form are made of.
type call struct {
	method, path, query string
	headers             map[string]string
	body                string
	inBase64            bool
}

// newURLEvent returns the event of a function URL, or of an HTTP API with payload format 2.0.
func (c call) newURLEvent() object {
	return object{"version": "2.0", "routeKey": "$default", "rawPath": c.path,
		"rawQueryString": c.query, "headers": c.headers,
		"requestContext": object{"stage": "$default", "domainName": "id.example.org",
			"http": object{"method": c.method, "path": c.path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
		"body": c.body, "isBase64Encoded": c.inBase64}
}

// newRESTEvent returns the event of a REST API.
func (c call) newRESTEvent() object {
	query := map[string][]string{}
	for pair := range strings.SplitSeq(c.query, "&") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			query[k] = append(query[k], v)
		}
	}
	headers := map[string][]string{}
	for k, v := range c.headers {
		headers[k] = []string{v}
	}
	return object{"resource": "/{proxy+}", "path": c.path, "httpMethod": c.method, "headers": c.headers,
		"multiValueHeaders": headers, "multiValueQueryStringParameters": query,
		"requestContext": object{"stage": "prod", "identity": object{"sourceIp": "192.0.2.1"}},
		"body":           c.body, "isBase64Encoded": c.inBase64}
}

// newHTTPAPIEvent returns the event of an HTTP API with payload format 1.0 and a stage.
func (c call) newHTTPAPIEvent() object {
	e := c.newRESTEvent()
	e["version"], e["path"] = "1.0", "/prod"+c.path
	return e
}

// forms are the forms of HTTP events.
var forms = map[string]func(call) object{
	"function URL": call.newURLEvent, "REST API": call.newRESTEvent, "HTTP API 1.0": call.newHTTPAPIEvent,
}

// answer is the answer to an HTTP event.
type answer struct {
	StatusCode        int
	Headers           map[string]string
	MultiValueHeaders map[string][]string
	Cookies           []string
	Body              string
	IsBase64Encoded   bool
}

// header returns a header of the answer.
func (a answer) header(name string) string {
	if values := a.MultiValueHeaders[name]; len(values) > 0 {
		return values[0]
	}
	return a.Headers[name]
}

// invoke invokes a function with an HTTP event.
func invoke(t testing.TB, f *function.Function, event any) (a answer) {
	t.Helper()
	payload, err := f.Invoke(context.Background(), encode(t, event))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func newForm(t *testing.T) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, name := range []string{"a.png", "b.png"} {
		part, err := w.CreateFormFile("picture", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(whitePicture); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// TestInvokeAnswersLikeTheService covers each form of HTTP event, and what the service answers to each call.
func TestInvokeAnswersLikeTheService(t *testing.T) {
	multi, multiType := newForm(t)
	text := base64.StdEncoding.EncodeToString(whitePicture)
	f := function.New(newService(t, func(c *serve.Config) {
		c.Bodies.MaxBytes = 4096
		c.URLPrefixes = []string{"http://127.0.0.1/", "http://169.254.169.254/"}
	}))
	for name, test := range map[string]struct {
		call
		status int
		want   string // in the body
	}{
		"picture": {call{"POST", "/v1/classify", "top=1", nil, text, true}, 200, `"predictions":[{"class":`},
		"form": {call{"POST", "/v1/classify", "", map[string]string{"content-type": multiType},
			base64.StdEncoding.EncodeToString([]byte(multi)), true}, 200, `"picture":"b.png"`},
		"JSON": {call{"POST", "/v1/classify", "", nil, `{"picture":"` + text + `"}`, false}, 200,
			`"predictions":[{"class":`},
		"live":      {call{"GET", "/healthz", "", nil, "", false}, 200, `{"status":"ok"}`},
		"ready":     {call{"GET", "/readyz", "", nil, "", false}, 200, `"ready"`},
		"the page":  {call{"GET", "/", "", nil, "", false}, 200, "<html"},
		"KServe":    {call{"GET", "/v2/models/light", "", nil, "", false}, 200, `"light"`},
		"no path":   {call{"GET", "/hats", "", nil, "", false}, 404, `"not_found"`},
		"no method": {call{"DELETE", "/v1/classify", "", nil, "", false}, 405, `"method"`},
		"no parameter": {call{"POST", "/v1/classify", "size=1", nil, text, true}, 400,
			`"bad_request"`},
		"bad base64": {call{"POST", "/v1/classify", "", nil, "iVBO*Rw0", true}, 400, "could not be read"},
		"cut base64": {call{"POST", "/v1/classify", "", nil, text[:len(text)-3], true}, 400, `"bad_request"`},
		"no picture": {call{"POST", "/v1/classify", "", nil, "hats", false}, 400, `"not_a_picture"`},
		"empty":      {call{"POST", "/v1/classify", "", nil, "", false}, 400, `"not_a_picture"`},
		"cut picture": {call{"POST", "/v1/classify", "", nil,
			base64.StdEncoding.EncodeToString(whitePicture[:50]), true}, 422, `"corrupt"`},
		"too large": {call{"POST", "/v1/classify", "", nil, strings.Repeat("x", 4097), false}, 413, "4096 bytes"},
		"loopback": {call{"POST", "/v1/classify", "", nil, `{"url":"http://127.0.0.1/a.jpg"}`, false}, 502,
			`"unavailable"`},
		"metadata": {call{"POST", "/v1/classify", "", nil, `{"url":"http://169.254.169.254/latest/meta-data"}`, false},
			502, `"unavailable"`},
		"no prefix": {call{"POST", "/v1/classify", "", nil, `{"url":"http://example.org/a.jpg"}`, false}, 403,
			`"forbidden"`},
		"another site": {call{"POST", "/v1/classify", "", map[string]string{"origin": "https://evil.example.org",
			"host": "id.example.org"}, text, true}, 403, `"cross_origin"`},
		"gRPC": {call{"POST", "/grpc.health.v1.Health/Check", "", map[string]string{
			"content-type": "application/grpc+proto"}, "", false}, 415, "cannot answer gRPC"},
	} {
		for form, newEvent := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				a := invoke(t, f, newEvent(test.call))
				if a.StatusCode != test.status || !strings.Contains(a.Body, test.want) || a.IsBase64Encoded ||
					a.header("Content-Type") == "" {
					t.Errorf("%+v", a)
				}
			})
		}
	}
}

// TestInvokeRequestsWhatTheEventSays covers the parts of the request.
func TestInvokeRequestsWhatTheEventSays(t *testing.T) {
	var got *http.Request
	var body []byte
	f := function.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Vary", "Origin")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("\xff<"))
	}))
	for form, newEvent := range forms {
		event := newEvent(call{"PUT", "/a%20b/c", "x=1&x=2", map[string]string{"Host": "garb.example.org", "X-A": "b"},
			"AAECAw==", true})
		event["cookies"] = []string{"c=3", "d=4"}
		a := invoke(t, f, event)
		if got.Method != "PUT" || got.URL.Path != "/a b/c" || got.URL.RawQuery != "x=1&x=2" ||
			got.Host != "garb.example.org" ||
			got.Header.Get("X-A") != "b" || got.Header.Get("Cookie") != "c=3; d=4" || got.RemoteAddr != "192.0.2.1" ||
			got.ContentLength != 4 || string(body) != "\x00\x01\x02\x03" || got.Header.Get("Host") != "" {
			t.Errorf("%s: %+v, body %q", form, got, body)
		}
		if a.StatusCode != http.StatusTeapot || !a.IsBase64Encoded || a.Body != "/zw=" || a.header("Connection") != "" {
			t.Errorf("%s: %+v", form, a)
		}
		cookies, vary := a.Cookies, a.Headers["Vary"]
		if form != "function URL" {
			cookies, vary = a.MultiValueHeaders["Set-Cookie"], strings.Join(a.MultiValueHeaders["Vary"], ", ")
		}
		if strings.Join(cookies, " ") != "a=1 b=2" || vary != "Accept, Origin" || a.Headers["Set-Cookie"] != "" {
			t.Errorf("%s: cookies %q, Vary %q", form, cookies, vary)
		}
	}
	event := call{"HEAD", "/", "", nil, "", false}.newURLEvent()
	if a := invoke(t, f, event); a.Body != "" || got.Host != "id.example.org" {
		t.Errorf("HEAD: %+v, host %s", a, got.Host)
	}
	staged := call{"GET", "/prod/healthz", "", nil, "", false}.newURLEvent()
	staged["requestContext"].(object)["stage"] = "prod"
	if invoke(t, f, staged); got.URL.Path != "/healthz" {
		t.Errorf("the path with a stage is %s", got.URL.Path)
	}
	staged["rawPath"] = "/production"
	if invoke(t, f, staged); got.URL.Path != "/production" {
		t.Errorf("the path that only begins like the stage is %s", got.URL.Path)
	}
	rest := call{"GET", "/v1/models", "", nil, "", false}.newRESTEvent()
	rest["requestContext"].(object)["stage"] = "v1"
	if invoke(t, f, rest); got.URL.Path != "/v1/models" {
		t.Errorf("the path of a REST API is %s", got.URL.Path)
	}
	single := object{"httpMethod": "GET", "path": "100%", "queryStringParameters": object{"top": "1"},
		"headers": object{"X-A": "c"}}
	if invoke(t, f, single); got.URL.RawQuery != "top=1" || got.Header.Get("X-A") != "c" || got.URL.Path != "/100%" {
		t.Errorf("%+v", got)
	}
}

// TestInvokePassesTheRequestID: the service's log has Lambda's identifier, unless the client has one.
func TestInvokePassesTheRequestID(t *testing.T) {
	f := function.New(newService(t, nil))
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: "of-lambda"})
	for own, want := range map[string]string{"": "of-lambda", "of-client": "of-client"} {
		event := call{"GET", "/healthz", "", map[string]string{"x-request-id": own}, "", false}.newURLEvent()
		payload, err := f.Invoke(ctx, encode(t, event))
		if err != nil || !strings.Contains(string(payload), `"X-Request-Id":"`+want+`"`) {
			t.Errorf("%s, %v", payload, err)
		}
	}
}

// failureOf returns the function's error.
func failureOf(t testing.TB, err error) messages.InvokeResponse_Error {
	t.Helper()
	var f messages.InvokeResponse_Error
	if !errors.As(err, &f) || f.Type == "" || f.Message == "" || f.ShouldExit {
		t.Fatalf("%#v", err)
	}
	return f
}

// TestInvokeAnswersTheCourse covers {"url": …}, and {"picture": …} beside it.
func TestInvokeAnswersTheCourse(t *testing.T) {
	f := function.New(newService(t, nil))
	payload, err := f.Invoke(context.Background(), encode(t, object{"picture": whitePicture}))
	var scores map[string]float64
	if err != nil || json.Unmarshal(payload, &scores) != nil || len(scores) != 2 {
		t.Errorf("%s, %v", payload, err)
	}
	body := string(encode(t, object{"picture": whitePicture}))
	a := invoke(t, f, call{"POST", "/v1/classify", "", nil, body, false}.newURLEvent())
	for class, score := range scores {
		if prediction := fmt.Sprintf(`"class":"%s","probability":`, class); !strings.Contains(a.Body, prediction) ||
			!strings.Contains(a.Body, fmt.Sprintf(`"logit":%s`, encode(t, score))) {
			t.Errorf("%s: %v, and the service answers %s", class, score, a.Body)
		}
	}
	for text, want := range map[string]string{
		`{"url": "http://example.org/a.jpg"}`: "forbidden",
		`{"url": "\u0000"}`:                   "bad_request",
		`{"url": 3}`:                          "bad_request",
		`{"url": null}`:                       "bad_request",
		`{"url": "http://example.org/", "picture": "AA"}`: "bad_request",
		`{"url": "http://example.org/", "top": 1}`:        "bad_request",
		`{"picture": "*"}`:    "bad_request",
		`{"picture": "AAAA"}`: "not_a_picture",
	} {
		payload, err := f.Invoke(context.Background(), []byte(text))
		if failure := failureOf(t, err); failure.Type != want || payload != nil {
			t.Errorf("%s: %s, %+v", text, payload, failure)
		}
	}
}

// unknownEvents are events that have no answer.
var unknownEvents = map[string]string{
	``:       "cannot be read",
	`{`:      "cannot be read",
	`[]`:     "cannot be read",
	`"hats"`: "cannot be read",
	`null`:   "no keys",
	`{}`:     "no keys",
	`{"Records": [{"eventSource": "aws:s3"}]}`:                                    `"Records"`,
	`{"version": "2.0", "rawPath": "/"}`:                                          `"rawPath", "version"`,
	`{"version": "2.0", "requestContext": {"http": {}}}`:                          `"requestContext"`,
	`{"version": "3.0", "requestContext": {"http": {"method": "GET"}}}`:           `"version"`,
	`{"version": "2.0", "httpMethod": "GET"}`:                                     `"httpMethod"`,
	`{"requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "GET"}`: "Load Balancer",
	`{"httpMethod": 3}`:                       "cannot be read",
	`{"httpMethod": "GET", "headers": ["a"]}`: "cannot be read",
	`{"1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9}`: `"8", …`,
	`{"` + strings.Repeat("x", 99) + `": 1}`:                                   `are "` + strings.Repeat("x", 40) + `"`,
}

func TestInvokeRefusesUnknownEvents(t *testing.T) {
	f := function.New(newService(t, nil))
	for text, want := range unknownEvents {
		payload, err := f.Invoke(context.Background(), []byte(text))
		failure := failureOf(t, err)
		if payload != nil || failure.Type != "unknown_event" || !strings.Contains(failure.Message, want) {
			t.Errorf("%s: %s, %+v", text, payload, failure)
		}
	}
}

// TestInvokeEndsBeforeTheDeadline: a client learns that the time is over before Lambda ends the function.
func TestInvokeEndsBeforeTheDeadline(t *testing.T) {
	for _, timeout := range []time.Duration{-time.Second, time.Millisecond, time.Hour} {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		end, _ := ctx.Deadline()
		var deadline time.Time
		f := function.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			deadline, _ = r.Context().Deadline()
		}))
		if _, err := f.Invoke(ctx, encode(t, call{"GET", "/", "", nil, "", false}.newURLEvent())); err != nil {
			t.Error(err)
		}
		early := end.Sub(deadline)
		if early < 0 || early > timeout && early > 0 || timeout == time.Hour && early != 500*time.Millisecond {
			t.Errorf("of %v: %v before the end", timeout, early)
		}
	}
	f := function.New(newService(t, nil))
	ctx, cancel := context.WithTimeout(context.Background(), -time.Second)
	defer cancel()
	event := call{"POST", "/v1/classify", "", nil, base64.StdEncoding.EncodeToString(whitePicture), true}.newURLEvent()
	payload, err := f.Invoke(ctx, encode(t, event))
	if err != nil || !strings.Contains(string(payload), `"statusCode":504`) ||
		!strings.Contains(string(payload), `late`) {
		t.Errorf("%s, %v", payload, err)
	}
	if _, err := f.Invoke(ctx, encode(t, object{"picture": whitePicture})); failureOf(t, err).Type != "late" {
		t.Error(err)
	}
}

// TestInvokeLimitsAnswers: Lambda would replace a larger answer by an error that says nothing.
func TestInvokeLimitsAnswers(t *testing.T) {
	for size, status := range map[int]int{5 << 20: 200, 6 << 20: 413} {
		f := function.New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("<", size)))
		}))
		for form, newEvent := range forms {
			a := invoke(t, f, newEvent(call{"GET", "/", "", nil, "", false}))
			if a.StatusCode != status || status == 413 && !strings.Contains(a.Body, "fewer pictures") {
				t.Errorf("%s of %d bytes: status %d, %.200s", form, size, a.StatusCode, a.Body)
			}
		}
	}
}

// FuzzInvoke: no event makes the function panic, and each has an answer or an error with a type.
func FuzzInvoke(f *testing.F) {
	for text := range unknownEvents {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"url": "http://127.0.0.1/"}`))
	for _, newEvent := range forms {
		f.Add(encode(f, newEvent(call{"POST", "/v1/classify", "top=1", map[string]string{"content-type": "image/png"},
			base64.StdEncoding.EncodeToString(whitePicture), true})))
	}
	fn := function.New(newService(f, nil))
	f.Fuzz(func(t *testing.T, event []byte) {
		payload, err := fn.Invoke(context.Background(), event)
		if err != nil {
			failureOf(t, err)
			return
		}
		var a object
		if err := json.Unmarshal(payload, &a); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		if status, ok := a["statusCode"].(float64); ok && (status < 200 || status > 599 || status == 500) {
			t.Errorf("%q: status %v", event, status)
		}
	})
}
