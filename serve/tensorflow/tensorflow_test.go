package tensorflow

import (
	"strings"
	"testing"

	"garb/picture"
	"garb/serve/request"
	"garb/serve/tensors"
)

// expected is what a small model with acceptance takes.
var expected = inputSpec{tensors.InputSpec{
	Spec: picture.Spec{Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}, MaxPictures: 3, Judges: true,
}}

func checkInputs(t *testing.T, b tensors.Inputs) {
	t.Helper()
	if n := len(b.Pictures); n > 3 || len(b.Values) > 3*192 || len(b.Values)%192 != 0 ||
		(n == 0) == (len(b.Values) == 0) {
		t.Errorf("%d pictures and %d values", n, len(b.Values))
	}
}

func FuzzPredictRequest(f *testing.F) {
	f.Add([]byte(`{"signature_name": "serving_default", "instances": [{"b64": "YQ=="}, {"picture": {"b64": "Yg"}}]}`))
	f.Add([]byte(`{"inputs": {"x": [{"b64": "YQ=="}]}}`))
	f.Add([]byte(`{"signature_name": "serving_acceptance", "instances": [{"b64": "YQ=="}]}`))
	row := "[" + strings.TrimSuffix(strings.Repeat("[0, 1, 2],", 8), ",") + "]"
	f.Add([]byte(`{"instances": [[` + strings.TrimSuffix(strings.Repeat(row+" ,", 8), ",") + `]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := expected.parsePredictRequest(body)
		if err != nil {
			if status, _ := request.Status(err); status != 400 && status != 413 {
				t.Errorf("%d: %v", status, err)
			}
			return
		}
		checkInputs(t, q.inputs)
	})
}
