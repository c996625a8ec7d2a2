package answers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFeedback(t *testing.T) {
	c := Default(filepath.Join(t.TempDir(), "new"))
	c.KeepPictures = true
	var n counts
	w := newTestWriter(t, c, n.events())
	w.Store(makeRecord("one", 0), []byte("a picture"))
	w.Store(makeRecord("three", 0), []byte("b"))
	w.Store(makeRecord("three", 1), []byte("c"))
	w.Store(makeRecord("three", 2), []byte("d"))
	zero, two, nine := 0, 2, 9
	digest := "18ac3e7343f016890c510e93f935261169d9e3f565436429830faf0934f4f8e4" // of "d", by sha256sum
	for name, test := range map[string]struct {
		Feedback
		key  string
		want any
	}{
		"by id":     {Feedback{RequestID: "one", Class: "a new class", Note: "a note"}, "shop", nil},
		"by index":  {Feedback{RequestID: "three", Index: &two, Class: "hat"}, "shop", nil},
		"by digest": {Feedback{RequestID: "three", SHA256: digest, Class: "hat"}, "shop", nil},
		"by both":   {Feedback{RequestID: "three", Index: &two, SHA256: digest, Class: "hat"}, "shop", nil},
		"contradiction": {Feedback{RequestID: "three", Index: &zero, SHA256: digest, Class: "hat"}, "shop",
			new(*UnknownPictureError)},
		"several":       {Feedback{RequestID: "three", Class: "hat"}, "shop", new(*UnknownPictureError)},
		"no such index": {Feedback{RequestID: "one", Index: &nine, Class: "hat"}, "shop", new(*UnknownPictureError)},
		"unknown id":    {Feedback{RequestID: "two", Class: "hat"}, "shop", new(*UnknownRequestError)},
		"another key":   {Feedback{RequestID: "one", Class: "hat"}, "other", new(*UnknownRequestError)},
		"no class":      {Feedback{RequestID: "one"}, "shop", new(*FeedbackError)},
	} {
		err := w.StoreFeedback(context.Background(), test.Feedback, test.key)
		if test.want == nil && err != nil || test.want != nil && !errors.As(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		kind := ErrUnknown
		if name == "several" || name == "no class" {
			kind = ErrFeedback
		}
		if err != nil && !errors.Is(err, kind) {
			t.Errorf("%s: the wrong kind of error: %v", name, err)
		}
	}
	closeWriter(t, w)
	byID := map[string]int{}
	for f, err := range (&Reader{Folder: c.Folder}).Feedback(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		byID[f.RequestID]++
		if f.RequestID == "three" && (f.Index != 2 || f.Picture.SHA256 != digest || f.Class != "hat" ||
			f.Answered != "dress" || f.Picture.File == "" || f.Model.Version != 3) {
			t.Errorf("%+v", f)
		}
	}
	if diff := cmp.Diff(map[string]int{"one": 1, "three": 3}, byID); diff != "" || n.feedback.Load() != 4 {
		t.Error(diff, n.feedback.Load())
	}
	checkModes(t, c.Folder)
}

// TestFeedbackAfterRestart: the next writer knows the answers of the last one, up to its limit.
func TestFeedbackAfterRestart(t *testing.T) {
	c := Default(t.TempDir())
	c.Remember = 5
	for run := range 2 {
		w := newTestWriter(t, c, Events{})
		for i := range 4 {
			w.Store(makeRecord(fmt.Sprint(run, "-", i), 0), nil)
		}
		closeWriter(t, w)
	}
	feedback := filepath.Join(c.Folder, feedbackName)
	if err := os.WriteFile(feedback, []byte(`{"request_id":"torn`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newTestWriter(t, c, Events{})
	for id, want := range map[string]bool{"0-2": false, "0-3": true, "1-0": true, "1-3": true, "1-4": false} {
		err := w.StoreFeedback(context.Background(), Feedback{RequestID: id, Class: "hat"}, "shop")
		if (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	closeWriter(t, w)
	r := &Reader{Folder: c.Folder}
	count := 0
	for range r.Feedback(context.Background()) {
		count++
	}
	if count != 3 || r.Skipped() != (Skipped{Invalid: 1}) {
		t.Errorf("%d, skipped %+v", count, r.Skipped())
	}
}

// TestFeedbackIDOfOthers: a client that sends the request id of another one again and again takes nothing from it,
// also after a restart.
func TestFeedbackIDOfOthers(t *testing.T) {
	c := Default(t.TempDir())
	w := newTestWriter(t, c, Events{})
	w.Store(makeRecord("one", 7), []byte("a picture"))
	for i := range maxPerRequest + 1 {
		other := makeRecord("one", i)
		other.Key = "other"
		w.Store(other, nil)
	}
	seven := 7
	for _, run := range []string{"running", "restarted"} {
		for _, f := range []Feedback{
			{RequestID: "one", Class: "hat"}, {RequestID: "one", Index: &seven, Class: "hat"},
		} {
			if err := w.StoreFeedback(context.Background(), f, "shop"); err != nil {
				t.Errorf("%s: %v", run, err)
			}
		}
		for index, want := range map[int]error{0: ErrUnknown, 1: nil, maxPerRequest: nil} { // the oldest is forgotten
			f := Feedback{RequestID: "one", Index: &index, Class: "hat"}
			if err := w.StoreFeedback(context.Background(), f, "other"); !errors.Is(err, want) {
				t.Errorf("%s: index %d of the other: %v", run, index, err)
			}
		}
		closeWriter(t, w)
		w = newTestWriter(t, c, Events{})
	}
}

func TestFeedbackHasALimit(t *testing.T) {
	c := Default(t.TempDir())
	c.MaxFeedbackBytes = maxLine
	w := newTestWriter(t, c, Events{})
	w.Store(makeRecord("one", 0), nil)
	f := Feedback{RequestID: "one", Class: "hat", Note: strings.Repeat("x", maxNoteLength)}
	stored := 0
	var err error
	for ; err == nil; stored++ {
		err = w.StoreFeedback(context.Background(), f, "shop")
	}
	if !errors.Is(err, ErrFeedbackFull) || stored < 500 || stored > maxLine/maxNoteLength {
		t.Errorf("after %d: %v", stored, err)
	}
}

func TestParseFeedback(t *testing.T) {
	got, err := ParseFeedback([]byte(`{"request_id":"a","index":1,"class":"T-Shirt/Top","note":"größer"}`))
	one := 1
	if diff := cmp.Diff(Feedback{RequestID: "a", Index: &one, Class: "T-Shirt/Top", Note: "größer"}, got); diff != "" ||
		err != nil {
		t.Error(diff, err)
	}
	long := strings.Repeat("x", 2000)
	for text, field := range map[string]string{
		``: "", `[]`: "", `{"request_id":"a","class":"b"} {}`: "", `{"request_id":"a","class":"b","x":1}`: "",
		`{"class":"b"}`:                   "request_id",
		`{"request_id":"a"}`:              "class",
		`{"request_id":"a","class":" "}`:  "class",
		`{"request_id":"a","class":" b"}`: "class", `{"request_id":"a","class":"a\u0000"}`: "class",
		`{"request_id":"a","class":"\u202e"}`: "class", `{"request_id":"a","class":"../.."}`: "class",
		`{"request_id":"a","class":"` + long + `"}`:            "class",
		`{"request_id":"` + long + `","class":"b"}`:            "request_id",
		`{"request_id":"a","class":"b","index":-1}`:            "index",
		`{"request_id":"a","class":"b","sha256":"AB"}`:         "sha256",
		`{"request_id":"a","class":"b","note":"` + long + `"}`: "note",
		strings.Repeat(" ", maxFeedback+1):                     "",
	} {
		_, err := ParseFeedback([]byte(text))
		var e *FeedbackError
		if !errors.As(err, &e) || e.Field != field {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}

func FuzzParseFeedback(f *testing.F) {
	f.Add([]byte(`{"request_id":"a","index":1,"sha256":"","class":"hat","note":"n"}`))
	f.Add([]byte(`{"request_id":"a","class":"\ud800"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		feedback, err := ParseFeedback(data)
		var e *FeedbackError
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error of another type: %v", err)
		}
		class := feedback.Class
		if err == nil && (class != strings.TrimSpace(class) || strings.Contains(class, "\n")) {
			t.Errorf("class %q", feedback.Class)
		}
	})
}
