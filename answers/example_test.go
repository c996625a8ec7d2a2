package answers_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"garb/answers"
	"garb/model"
)

// A service stores an answer, then feedback about it. Another program reads both.
func ExampleWriter() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "answers")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	w, err := answers.NewWriter(answers.Default(folder), slog.Default(), answers.Events{})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := answers.Record{RequestID: "request-1", Time: time.Now(), Model: answers.Model{Name: "clothing"}}
	r.SetAnswer(model.Answer{Predictions: []model.Prediction{{Class: "skirt", Probability: 0.6}}})
	w.Store(&r, []byte("the bytes of the picture"))
	f, err := answers.ParseFeedback([]byte(`{"request_id": "request-1", "class": "dress"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.StoreFeedback(ctx, f, ""))
	f.RequestID = "request-2"
	fmt.Println(w.StoreFeedback(ctx, f, ""))
	if err := w.Close(ctx); err != nil {
		fmt.Println(err)
	}
	reader := answers.Reader{Folder: folder}
	for feedback, err := range reader.Feedback(ctx) {
		fmt.Println(feedback.Answered, "→", feedback.Class, err)
	}
	// Output:
	// <nil>
	// no stored answer has the request id "request-2"
	// skirt → dress <nil>
}

// A reader iterates over the answers of an hour.
func ExampleReader() {
	r := answers.Reader{Folder: "testdata/log", From: time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC),
		To: time.Date(2026, 11, 27, 21, 0, 0, 0, time.UTC)}
	for record, err := range r.Records(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(record.RequestID, record.Class, len(record.Embedding))
	}
	fmt.Println("skipped:", r.Skipped().Total())
	// Output:
	// a dress 2
	// c hat 0
	// skipped: 1
}
