package inference

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	pb "garb/serve/inferencepb"
	"garb/serve/request"
	"garb/serve/tensors"
)

// parameters are the parameters of a request, an input or an output: a bool, int64, float64 or string for
// each name.
type parameters map[string]any

// maxParameters limits the parameters of a request, an input or an output: far more than there are.
const maxParameters = 32

// errParameters is the error of parameters that are too many.
var errParameters = fmt.Errorf("%w: there are more than %d parameters", request.ErrInvalid, maxParameters)

// parseParameters parses an object of parameters, which may be missing.
func parseParameters(v tensors.JSON) (parameters, error) {
	if v != nil && !v.Is('{') {
		return nil, fmt.Errorf(`%w: "parameters" must be an object`, request.ErrInvalid)
	}
	p := parameters{}
	for name, value := range v.Members() {
		if len(p) == maxParameters {
			return nil, errParameters
		}
		if number, err := value.Integer(); err == nil {
			p[name] = int64(number)
			continue
		}
		var parsed any
		if len(value) <= 1000 {
			_ = json.Unmarshal(value, &parsed) // it is valid
		}
		switch parsed.(type) {
		case bool, float64, string:
			p[name] = parsed
		default:
			return nil, fmt.Errorf("%w: the parameter %.40q must be true, false, a number or a short string",
				request.ErrInvalid, name)
		}
	}
	return p, nil
}

// parseParametersGRPC is parseParameters for a message.
func parseParametersGRPC(all map[string]*pb.InferParameter) (parameters, error) {
	if len(all) > maxParameters {
		return nil, errParameters
	}
	p := parameters{}
	for name, value := range all {
		switch v := value.GetParameterChoice().(type) {
		case *pb.InferParameter_BoolParam:
			p[name] = v.BoolParam
		case *pb.InferParameter_Int64Param:
			p[name] = v.Int64Param
		case *pb.InferParameter_Uint64Param:
			p[name] = int64(min(v.Uint64Param, 1<<62))
		case *pb.InferParameter_DoubleParam:
			p[name] = v.DoubleParam
		case *pb.InferParameter_StringParam:
			p[name] = v.StringParam
		default:
			return nil, fmt.Errorf("%w: the parameter %.40q has no value", request.ErrInvalid, name)
		}
	}
	return p, nil
}

// check refuses parameters that are not among names: none is ignored.
func (p parameters) check(of string, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(p)) {
		switch {
		case slices.Contains(names, name):
		case strings.HasPrefix(name, "shared_memory_"):
			return fmt.Errorf("%w: the parameter %.40s of %s: shared memory is not supported; send and receive "+
				"tensors in messages", request.ErrInvalid, name, of)
		case len(names) == 0:
			return fmt.Errorf("%w: %s has the parameter %.40q, but none is supported", request.ErrInvalid, of, name)
		default:
			return fmt.Errorf("%w: %s has the parameter %.40q, which is not supported; there are %s",
				request.ErrInvalid, of, name, strings.Join(names, ", "))
		}
	}
	return nil
}

// boolean returns a parameter that is true or false, standard if it is missing.
func (p parameters) boolean(name string, standard bool) (bool, error) {
	value, ok := p[name]
	if !ok {
		return standard, nil
	}
	b, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("%w: the parameter %s must be true or false", request.ErrInvalid, name)
	}
	return b, nil
}

// integer returns a parameter that is an integer, 0 if it is missing.
func (p parameters) integer(name string) (int64, error) {
	value, ok := p[name]
	if !ok {
		return 0, nil
	}
	n, ok := value.(int64)
	if !ok {
		return 0, fmt.Errorf("%w: the parameter %s must be an integer", request.ErrInvalid, name)
	}
	return n, nil
}

// requestParameters are the parameters of a request.
type requestParameters struct {
	binary  bool          // outputs are binary
	timeout time.Duration // 0 if there is none
	final   bool          // the response says that it is the last one
}

// request returns the parameters of a request.
func (p parameters) request() (r requestParameters, err error) {
	if err = p.check("the request", "binary_data_output", "timeout", "priority", "sequence_id", "sequence_start",
		"sequence_end", "triton_enable_empty_final_response"); err != nil {
		return r, err
	}
	// Clients may state the defaults of what a model without state and priorities does not have.
	for name, value := range p {
		isDefault := value == int64(0) || value == "" || value == false
		if !isDefault && (name == "priority" || strings.HasPrefix(name, "sequence_")) {
			return r, fmt.Errorf("%w: the parameter %s: sequences and priorities are not supported", request.ErrInvalid,
				name)
		}
	}
	if r.binary, err = p.boolean("binary_data_output", false); err != nil {
		return r, err
	}
	if r.final, err = p.boolean("triton_enable_empty_final_response", false); err != nil {
		return r, err
	}
	microseconds, err := p.integer("timeout")
	if err == nil && microseconds < 0 {
		err = fmt.Errorf("%w: the parameter timeout is negative; it is a number of microseconds", request.ErrInvalid)
	}
	const most = int64(time.Hour / time.Microsecond) // beyond any timeout of a service
	r.timeout = time.Duration(min(microseconds, most)) * time.Microsecond
	return r, err
}

// classification returns the number of classes that an output asks for, 0 if it asks for values.
func (p parameters) classification() (int, error) {
	top, err := p.integer("classification")
	if _, ok := p["classification"]; err == nil && ok && top < 1 {
		err = fmt.Errorf("%w: the parameter classification must be at least 1", request.ErrInvalid)
	}
	return int(min(top, 1<<20)), err
}

// withTimeout returns a context that ends after the timeout of a request, if it has one.
func (r requestParameters) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.timeout)
}
