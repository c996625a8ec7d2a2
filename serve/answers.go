package serve

import (
	"context"
	"fmt"
	"net/http"

	"garb/answers"
	"garb/serve/request"
)

// openAnswers opens the folder of answers, if answers are kept.
func (s *Server) openAnswers(c answers.Config) error {
	if c.Folder == "" {
		return nil
	}
	for _, r := range answers.Reasons() {
		s.observer.CreateAnswers(string(r))
	}
	w, err := answers.NewWriter(c, s.log, answers.Events{
		Stored:   s.observer.CountAnswer,
		Dropped:  func(r answers.Reason) { s.observer.CountAnswerDropped(string(r)) },
		Feedback: s.observer.CountFeedback,
		Removed:  s.observer.CountAnswersRemoved,
		Size:     s.observer.SetAnswersBytes,
	})
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	s.backend.Answers = w
	return nil
}

// closeAnswers writes the answers that are left, and closes their folder.
func (s *Server) closeAnswers() error {
	if s.backend.Answers == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closingTime)
	defer cancel()
	if err := s.backend.Answers.Close(ctx); err != nil {
		return fmt.Errorf("serve: closing the folder of answers: %w", err)
	}
	return nil
}

// handleFeedback handles POST /v1/feedback: the right class of a picture that was answered.
func (s *Server) handleFeedback(w http.ResponseWriter, r *http.Request) {
	if err := s.storeFeedback(w, r); err != nil {
		request.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) storeFeedback(w http.ResponseWriter, r *http.Request) error {
	if s.backend.Answers == nil {
		return request.ErrNoAnswers
	}
	body, release, err := s.backend.ReadBody(w, r)
	if err != nil {
		return err
	}
	defer release()
	feedback, err := answers.ParseFeedback(body)
	if err != nil {
		return err
	}
	return s.backend.Answers.StoreFeedback(r.Context(), feedback, request.From(r.Context()).KeyName())
}
