package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// response records a response.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newResponse() *response { return &response{header: http.Header{}} }

// Header returns the header.
func (w *response) Header() http.Header { return w.header }

// WriteHeader records the first status. Lambda has no answers before the last one (1xx).
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
}

// Write adds to the body.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// hopHeaders belong to the connection of a server, which a function has not.
var hopHeaders = []string{"Connection", "Transfer-Encoding"}

// encode returns a response in the form of its event.
func (e *event) encode(w *response) ([]byte, error) {
	w.WriteHeader(http.StatusOK)
	for _, k := range hopHeaders {
		w.header.Del(k)
	}
	body, inBase64 := w.body.String(), false
	if e.method() == http.MethodHead {
		body = ""
	}
	if !utf8.ValidString(body) {
		body, inBase64 = base64.StdEncoding.EncodeToString([]byte(body)), true
	}
	if e.form == payload1 {
		return encodeJSON(events.APIGatewayProxyResponse{StatusCode: w.status, MultiValueHeaders: w.header, Body: body,
			IsBase64Encoded: inBase64})
	}
	cookies := w.header.Values("Set-Cookie")
	w.header.Del("Set-Cookie")
	headers := map[string]string{}
	for k, values := range w.header {
		headers[k] = strings.Join(values, ", ")
	}
	return encodeJSON(events.LambdaFunctionURLResponse{StatusCode: w.status, Headers: headers, Cookies: cookies,
		Body: body, IsBase64Encoded: inBase64})
}

// method returns the method of an HTTP event.
func (e *event) method() string {
	if e.form == payload2 {
		return e.Context.HTTP.Method
	}
	return e.Method
}

// encodeJSON encodes JSON without the escapes that HTML needs, which would triple the size of pages.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}
