package serve

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/answers"
	"garb/picture"
	pb "garb/serve/inferencepb"
	"garb/serve/tensors"
)

// embedding is a fake with feature vectors of two values: the mean of the input, and 7.
type embedding struct{ fake }

func (*embedding) FeatureCount() int { return 2 }

func (*embedding) Features(_ context.Context, inputs, features []float32) error {
	length := fakeSpec.ValueCount()
	for i := range len(features) / 2 {
		features[2*i], features[2*i+1] = 0, 7
		for _, v := range inputs[i*length:][:length] {
			features[2*i] += v / float32(length)
		}
	}
	return nil
}

func (*embedding) HeadOutputs(_ context.Context, features, rows []float32) error {
	for i := range len(rows) / 2 {
		rows[2*i], rows[2*i+1] = -features[2*i], features[2*i]-1
	}
	return nil
}

// readAnswers returns what a folder of answers has.
func readAnswers(t *testing.T, folder string) (all []*answers.Record) {
	t.Helper()
	r := answers.Reader{Folder: folder}
	for record, err := range r.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	if n := r.Skipped().Total(); n > 0 {
		t.Errorf("%d lines cannot be read", n)
	}
	return all
}

// readFeedback returns the feedback that a folder of answers has.
func readFeedback(t *testing.T, folder string) (all []*answers.StoredFeedback) {
	t.Helper()
	r := answers.Reader{Folder: folder}
	for f, err := range r.Feedback(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// writeKeys writes a file of API keys with these names; the text of a key is its name, repeated.
func writeKeys(t *testing.T, path string, names ...string) {
	t.Helper()
	var text string
	for _, name := range names {
		text += fmt.Sprintf("[[key]]\nname = %q\nkey = %q\n", name, keyNamed(name))
	}
	writeFile(t, path, []byte(text))
}

func keyNamed(name string) string { return strings.Repeat(name, 8) }

// answeredPictures are requests of all protocols with pictures, under their request ids, and the numbers
// of pictures that are answered.
func answeredPictures(t *testing.T, r *running, header ...string) map[string]int {
	t.Helper()
	encoded := base64.StdEncoding.EncodeToString(white())
	contentType, fields := form(t, white(), []byte("no picture"), white())
	all := map[string]int{"grpc": 2}
	for _, c := range []struct {
		id, path, contentType, body string
		pictures                    int
	}{
		{"raw", "/v1/classify", "image/gif", string(white()), 1},
		{"form", "/v1/classify", contentType, string(fields), 2},
		{"json", "/v1/classify", "application/json", `{"picture": "` + encoded + `"}`, 1},
		{"bad", "/v1/classify", "", "no picture", 0},
		{"v2", "/v2/models/m/infer", "", `{"inputs": [` + pictureInput(white(), white(), white()) + `]}`, 3},
		{"values", "/v2/models/m/infer", "",
			`{"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 8, 8, 3], "data": [` + strings.
				TrimSuffix(strings.Repeat("0.9,", fakeSpec.ValueCount()), ",") + `]}]}`, 1},
		{"tensorflow", "/v1/models/m:predict", "", `{"instances": [{"b64": "` + encoded + `"}]}`, 1},
	} {
		answer, text := post(t, r.url+c.path, c.contentType, []byte(c.body), append(header, "X-Request-Id", c.id)...)
		if (answer.StatusCode == http.StatusOK) != (c.pictures > 0) {
			t.Errorf("%s: %s %s", c.id, answer.Status, text)
		}
		if c.pictures > 0 {
			all[c.id] = c.pictures
		}
	}
	q := &pb.ModelInferRequest{ModelName: "m", Inputs: []*inputMessage{{Name: "picture", Datatype: tensors.Bytes,
		Shape: []int64{2}, Contents: &pb.InferTensorContents{BytesContents: [][]byte{white(), white()}}}}}
	if _, err := call[pb.ModelInferRequest, pb.ModelInferResponse](t, r, "ModelInfer", q,
		append(header, "X-Request-Id", "grpc")...); err != nil {
		t.Error(err)
	}
	all["stream"] = 2 // in two messages
	s := openStream(t, r)
	for i := 0; i+1 < len(header); i += 2 {
		s.RequestHeader().Set(header[i], header[i+1])
	}
	s.RequestHeader().Set("X-Request-Id", "stream")
	for range 2 {
		if err := s.Send(pictureMessage("1", white())); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Receive(); err != nil || a.ErrorMessage != "" {
			t.Errorf("stream: %v, %v", a, err)
		}
	}
	if err := s.CloseRequest(); err != nil {
		t.Error(err)
	}
	return all
}

// TestAnswers keeps the answers of all protocols, with all that is known about them.
func TestAnswers(t *testing.T) {
	folder, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.toml")
	writeKeys(t, keys, "shop")
	r := start(t, &embedding{}, func(c *Config) {
		c.APIKeyFile, c.Answers = keys, answers.Default(folder)
		c.Answers.KeepPictures = true
	})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	want := answeredPictures(t, r, "X-Api-Key", keyNamed("shop"), "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	total := 0
	for _, n := range want {
		total += n
	}
	waitFor(t, "all answers are counted", func() bool {
		_, text, err := try(t.Context(), http.MethodGet, r.url+"/metrics", "", nil, "X-Api-Key", keyNamed("shop"))
		return err == nil && strings.Contains(string(text), fmt.Sprintf("garb_answers_stored_total %d\n", total)) &&
			strings.Contains(string(text), fmt.Sprintf("garb_key_pictures_total{key=\"shop\"} %d\n", total)) &&
			!strings.Contains(string(text), "garb_answers_bytes 0\n")
	})
	version := r.backend.Models.List()[0]
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, a := range readAnswers(t, folder) {
		id := a.RequestID
		// The second field of the form is no picture.
		if index := found[id]; a.Index != index && (id != "form" || a.Index != 2) {
			t.Errorf("%s: index %d, not %d", id, a.Index, index)
		}
		found[id]++
		if a.Key != "shop" || a.TraceID != trace || a.Class != "light" || a.Time.IsZero() || len(a.Predictions) != 2 ||
			a.Model != (answers.Model{Name: "m", Version: version.Number, Digest: version.Digest()}) {
			t.Errorf("%s: %+v", id, a)
		}
		if len(a.Embedding) != 2 || a.Embedding[0] < 0.89 || a.Embedding[1] != 7 {
			t.Errorf("%s: embedding %v", id, a.Embedding)
		}
		checkKeptPicture(t, folder, a)
	}
	for id, n := range want {
		if found[id] != n {
			t.Errorf("%s: %d answers, not %d", id, found[id], n)
		}
	}
}

// checkKeptPicture checks that an answer has the white picture, unless its request had values.
func checkKeptPicture(t *testing.T, folder string, a *answers.Record) {
	t.Helper()
	digest, p := sha256.Sum256(white()), a.Picture
	if a.RequestID == "values" {
		if p != (answers.Picture{}) {
			t.Errorf("values with the picture %+v", p)
		}
		return
	}
	if p.SHA256 != hex.EncodeToString(digest[:]) || p.Bytes != len(white()) || p.Format != string(picture.GIF) ||
		p.Width != 1 || p.Height != 1 {
		t.Errorf("%s: %+v", a.RequestID, p)
	}
	if kept, err := os.ReadFile(filepath.Join(folder, p.File)); err != nil || !slices.Equal(kept, white()) {
		t.Errorf("%s: the picture %s: %v", a.RequestID, p.File, err)
	}
}

// TestAnswersSample keeps the answers of the chosen requests only, and neither pictures nor embeddings
// that nobody wants.
func TestAnswersSample(t *testing.T) {
	folder := t.TempDir()
	r := start(t, &embedding{}, func(c *Config) {
		c.Answers = answers.Default(folder)
		c.Answers.Sample, c.Answers.Embeddings, c.Answers.Top = 0.5, false, 1
	})
	want := map[string]bool{}
	for i := range 40 {
		id := fmt.Sprintf("request-%d", i)
		want[id] = r.backend.Answers.Samples(id)
		post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", id)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, a := range readAnswers(t, folder) {
		found[a.RequestID] = true
		if a.Embedding != nil || len(a.Predictions) != 1 || a.Picture.File != "" || a.Picture.SHA256 == "" {
			t.Errorf("%+v", a)
		}
	}
	for id, sampled := range want {
		if found[id] != sampled {
			t.Errorf("%s: kept %v, sampled %v", id, found[id], sampled)
		}
	}
	if len(found) == 0 || len(found) == len(want) {
		t.Errorf("%d of %d were kept", len(found), len(want))
	}
}

// TestFeedback stores the right classes of pictures, and refuses what it cannot store.
func TestFeedback(t *testing.T) {
	folder, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.toml")
	writeKeys(t, keys, "shop", "other")
	r := start(t, &fake{}, func(c *Config) {
		c.APIKeyFile, c.Answers, c.Bodies.MaxBytes = keys, answers.Default(folder), 1<<20
	})
	contentType, fields := form(t, white(), white())
	for id, body := range map[string]string{"one": string(white()), "two": string(fields)} {
		kind := ""
		if id == "two" {
			kind = contentType
		}
		if answer, text := post(t, r.url+"/v1/classify", kind, []byte(body), "X-Request-Id", id, "X-Api-Key",
			keyNamed("shop")); answer.StatusCode != http.StatusOK {
			t.Fatal(string(text))
		}
	}
	digest := sha256.Sum256(white())
	for name, c := range map[string]struct {
		key, body string
		status    int
		want      string // in the answer
	}{
		"the only picture": {"shop", `{"request_id": "one", "class": "hat", "note": "a note"}`, 204, ""},
		"by digest": {"shop", `{"request_id": "one", "class": "hat", "sha256": "` + hex.EncodeToString(digest[:]) +
			`"}`, 204, ""},
		"by index":  {"shop", `{"request_id": "two", "index": 1, "class": "hat"}`, 204, ""},
		"which one": {"shop", `{"request_id": "two", "class": "hat"}`, 400, `"kind":"bad_request"`},
		"no such picture": {"shop", `{"request_id": "two", "index": 2, "class": "hat"}`, 404,
			`"kind":"no_such_answer"`},
		"no such request":  {"shop", `{"request_id": "three", "class": "hat"}`, 404, `"kind":"no_such_answer"`},
		"another's answer": {"other", `{"request_id": "one", "class": "hat"}`, 404, `"kind":"no_such_answer"`},
		"without a key":    {"", `{"request_id": "one", "class": "hat"}`, 401, `"kind":"unauthorized"`},
		"unknown field":    {"shop", `{"request_id": "one", "klass": "hat"}`, 400, "klass"},
		"no class":         {"shop", `{"request_id": "one"}`, 400, "class is missing"},
		"no JSON":          {"shop", `hat`, 400, "not valid JSON"},
		"two values":       {"shop", `{"request_id": "one", "class": "hat"} {}`, 400, "followed by something else"},
		"long":             {"shop", `{"note": "` + strings.Repeat("x", 1<<15) + `"}`, 400, "longer than"},
		"longer":           {"shop", strings.Repeat("x", 1<<20+1), 413, `"kind":"too_large"`},
	} {
		answer, text := post(t, r.url+"/v1/feedback", "application/json", []byte(c.body), "X-Api-Key", keyNamed(c.key))
		if answer.StatusCode != c.status || !strings.Contains(string(text), c.want) ||
			(c.status == 204) != (len(text) == 0) {
			t.Errorf("%s: %s %s", name, answer.Status, text)
		}
	}
	_, text, _ := try(t.Context(), http.MethodGet, r.url+"/metrics", "", nil, "X-Api-Key", keyNamed("shop"))
	if !strings.Contains(string(text), "garb_answers_feedback_total 3\n") {
		t.Errorf("%s", text)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	all := readFeedback(t, folder)
	if len(all) != 3 {
		t.Errorf("%d are stored", len(all))
	}
	for _, f := range all {
		if f.Class != "hat" || f.Answered != "light" || f.Key != "shop" {
			t.Errorf("%+v", f)
		}
	}
}

// TestFeedbackFull refuses feedback once its file is full. Requests are answered all the same.
func TestFeedbackFull(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) {
		c.Answers = answers.Default(t.TempDir())
		c.Answers.MaxFeedbackBytes = 1 << 20
		writeFile(t, filepath.Join(c.Answers.Folder, "feedback.jsonl"), make([]byte, 1<<20))
	})
	post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", "one")
	answer, text := post(t, r.url+"/v1/feedback", "", []byte(`{"request_id": "one", "class": "hat"}`))
	if answer.StatusCode != http.StatusInsufficientStorage ||
		!strings.Contains(string(text), `"kind":"feedback_full"`) {
		t.Errorf("%s %s", answer.Status, text)
	}
}

// TestFeedbackWithoutAnswers says that there is no feedback without a folder of answers.
func TestFeedbackWithoutAnswers(t *testing.T) {
	r := start(t, &fake{}, nil)
	answer, text := post(t, r.url+"/v1/feedback", "", []byte(`{"request_id": "one", "class": "hat"}`))
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(string(text), "keeps no answers") {
		t.Errorf("%s %s", answer.Status, text)
	}
	if strings.Contains(metricsOf(t, r), "garb_answers_stored_total ") {
		t.Error("a service without answers counts them")
	}
}

// TestAnswersClosed: a closed writer fails no request.
func TestAnswersClosed(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) { c.Answers = answers.Default(t.TempDir()) })
	if err := r.backend.Answers.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer, text := post(t, r.url+"/v1/classify", "", white()); answer.StatusCode != http.StatusOK {
		t.Errorf("%s %s", answer.Status, text)
	}
	if !strings.Contains(metricsOf(t, r), `garb_answers_dropped_total{reason="closed"} 1`+"\n") {
		t.Error("the answer that was not kept is not counted")
	}
	answer, text := post(t, r.url+"/v1/feedback", "", []byte(`{"request_id": "one", "class": "hat"}`))
	if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), `"kind":"stopping"`) {
		t.Errorf("feedback: %s %s", answer.Status, text)
	}
}

// TestAnswersLocked: two services do not share a folder, and one that cannot start leaves no folder locked.
func TestAnswersLocked(t *testing.T) {
	folder := t.TempDir()
	r := start(t, &fake{}, func(c *Config) { c.Answers = answers.Default(folder) })
	c := Default()
	c.Models.Models = []NamedModel{{Name: "m", Path: "somewhere"}}
	c.Answers = answers.Default(folder)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	opens := func(string) (Classifier, error) { return &fake{}, nil }
	var locked *answers.LockedError
	if _, err := New(c, opens, log); !errors.As(err, &locked) || locked.Folder != folder {
		t.Errorf("a second service: %v", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no model")
	if _, err := New(c, func(string) (Classifier, error) { return nil, broken }, log); !errors.Is(err, broken) {
		t.Error(err)
	}
	s, err := New(c, opens, log)
	if err != nil {
		t.Fatal(err)
	}
	if err = s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCacheBytes answers a picture again from the cache, over HTTP, and keeps that answer too.
func TestCacheBytes(t *testing.T) {
	folder := t.TempDir()
	m := &embedding{}
	r := start(t, m, func(c *Config) {
		c.Engine.CacheBytes, c.Answers = 1<<20, answers.Default(folder)
	})
	bodies := map[string]string{}
	for _, id := range []string{"first", "again", "third"} {
		answer, text := post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", id)
		if answer.StatusCode != http.StatusOK {
			t.Fatal(string(text))
		}
		bodies[id], _, _ = strings.Cut(string(text), `,"milliseconds"`)
	}
	if bodies["first"] != bodies["again"] || bodies["first"] != bodies["third"] {
		t.Errorf("%v", bodies)
	}
	text := metricsOf(t, r)
	for _, line := range []string{`garb_cache_total{result="hit"} 2`, `garb_cache_total{result="miss"} 1`,
		`garb_stage_seconds_count{stage="inference"} 1`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	all := readAnswers(t, folder)
	if len(all) != 3 {
		t.Errorf("%d answers are kept", len(all))
	}
	for _, a := range all {
		if len(a.Embedding) != 2 || a.Picture.Width != 1 || a.Picture.Format != "gif" {
			t.Errorf("%+v", a)
		}
	}
}

// TestKeyMetrics counts the pictures of keys, and forgets the metrics of a key that is gone.
func TestKeyMetrics(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.toml")
	writeKeys(t, keys, "shop", "other")
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = keys })
	metrics := func(key string) string {
		_, text, err := try(t.Context(), http.MethodGet, r.url+"/metrics", "", nil, "X-Api-Key", keyNamed(key))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	contentType, fields := form(t, white(), []byte("no picture"), white())
	for _, key := range []string{"shop", "other"} {
		post(t, r.url+"/v1/classify", contentType, fields, "X-Api-Key", keyNamed(key))
	}
	for _, key := range []string{"shop", "other"} {
		if line := `garb_key_pictures_total{key="` + key + `"} 2` + "\n"; !strings.Contains(metrics("other"), line) {
			t.Errorf("no %s", line)
		}
	}
	writeKeys(t, keys, "other")
	waitFor(t, "the metrics of the key are gone", func() bool {
		return !strings.Contains(metrics("other"), `key="shop"`)
	})
	if !strings.Contains(metrics("other"), `garb_key_pictures_total{key="other"} 2`+"\n") {
		t.Error("the metrics of the other key are gone")
	}
}
