// Package function answers events of AWS Lambda with the HTTP handler of a service.
//
//	event → request → handler → response → answer in the event's form
//
// Every rule of the service applies: limits, API keys, URLs, errors and their statuses.
package function

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"garb/serve/request"
)

// Function answers events; Lambda's library calls Invoke.
type Function struct{ handler http.Handler }

// New returns the function of a service's handler.
func New(handler http.Handler) *Function { return &Function{handler} }

// Invoke answers an event. HTTP events have an answer with a status, whatever fails. The error of any other
// event is a [messages.InvokeResponse_Error], whose type is the kind of the problem.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	e, err := parseEvent(payload)
	if err != nil {
		return nil, err
	}
	ctx, cancel := limitTime(ctx)
	defer cancel()
	r := e.newRequest(ctx)
	if called, ok := lambdacontext.FromContext(ctx); ok && r.Header.Get(headerRequestID) == "" {
		r.Header.Set(headerRequestID, called.AwsRequestID) // so that the service's log has it
	}
	w := newResponse()
	f.serve(w, r)
	if e.form == direct {
		return encodeScores(w)
	}
	answer, err := e.encode(w)
	if err == nil && len(answer) > maxAnswerBytes {
		w = newResponse()
		request.WriteError(w, r, fmt.Errorf("%w: the answer has %d bytes, and Lambda allows %d; send fewer pictures "+
			"at a time, or leave explain out", request.ErrTooLarge, len(answer), maxAnswerBytes))
		answer, err = e.encode(w)
	}
	return answer, err
}

const headerRequestID = "X-Request-Id"

// maxAnswerBytes is Lambda's limit of an answer: 6 MB, see "Lambda quotas" in its documentation.
const maxAnswerBytes = 6 << 20

// serve answers a request. It refuses gRPC, whose trailers no event has.
func (f *Function) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/grpc") {
		request.WriteError(w, r, fmt.Errorf("%w: a Lambda function cannot answer gRPC; use the REST API",
			request.ErrMediaType))
		return
	}
	f.handler.ServeHTTP(w, r)
}

// answerTime is what encoding and sending an answer may take on a function with a small share of a core.
const answerTime = 500 * time.Millisecond

// limitTime returns a context that ends before that of the invocation does, since a function that is still
// running then is killed, and its client does not learn why.
func limitTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := max(time.Until(deadline), 0)
	return context.WithDeadline(ctx, deadline.Add(-min(answerTime, left/2)))
}

// encodeScores returns the logit of each class: {"dress": -1.9, …}.
func encodeScores(w *response) ([]byte, error) {
	if w.status != http.StatusOK {
		var p request.Problem
		if err := json.Unmarshal(w.body.Bytes(), &p); err != nil {
			return nil, fmt.Errorf("the answer with status %d is no problem: %w", w.status, err)
		}
		return nil, messages.InvokeResponse_Error{Type: p.Kind, Message: p.Detail}
	}
	var c struct {
		Predictions []struct {
			Class string  `json:"class"`
			Logit float64 `json:"logit"`
		} `json:"predictions"`
	}
	if err := json.Unmarshal(w.body.Bytes(), &c); err != nil {
		return nil, fmt.Errorf("the answer is no classification: %w", err)
	}
	scores := map[string]float64{}
	for _, p := range c.Predictions {
		scores[p.Class] = p.Logit
	}
	return json.Marshal(scores)
}
