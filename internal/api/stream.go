package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// askTime limits the wait for an answer. A person may have to sign in at a provider
	// and look for a second factor.
	askTime = 10 * time.Minute

	// writeTime limits the write of one event: the client is a program that reads.
	writeTime = 10 * time.Second
)

var errNoAnswer = &Error{Status: http.StatusGatewayTimeout, What: fmt.Sprintf("no answer within %d minutes", int(askTime.Minutes())), Hint: "Nothing was changed."}

// A Stream sends events as lines of JSON. It is not safe for concurrent use.
type Stream struct {
	w      http.ResponseWriter
	server *Server
	user   User
	begun  bool // the status has been sent
}

// Send sends an event. The error means that the client has left or does not read.
func (s *Stream) Send(e Event) error { return s.write(http.StatusOK, "application/x-ndjson", e) }

// Ask sends an event and returns the answer to it.
func (s *Stream) Ask(ctx context.Context, e Event) (Answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, errNoAnswer)
	defer cancel()
	id, answers := rand.Text(), make(chan Answer, 1)
	s.server.questions.Store(id, answers)
	defer s.server.questions.Delete(id)
	e.Answer = "/v1/answers/" + id
	if err := s.Send(e); err != nil {
		return Answer{}, err
	}
	select {
	case a := <-answers:
		return a, nil
	case <-ctx.Done():
		return Answer{}, context.Cause(ctx)
	}
}

// end sends the rest of the response. An error is the last event, or the whole response.
func (s *Stream) end(response any, err error) {
	status := http.StatusOK
	if err != nil {
		e := asError(err)
		if s.begun {
			s.Send(Event{Error: e}) // a client that has left need not read it
			return
		}
		status, response = cmp.Or(e.Status, http.StatusInternalServerError), e
	}
	switch {
	case response != nil:
		s.write(status, "application/json", response)
	case !s.begun:
		s.w.WriteHeader(http.StatusNoContent)
	}
	http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(writeTime)) // for the last chunk
}

// write sends v as a line of JSON, after the status if that has not been sent.
func (s *Stream) write(status int, contentType string, v any) error {
	w := http.NewResponseController(s.w)
	if err := w.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", contentType)
		s.w.WriteHeader(status)
	}
	e := json.NewEncoder(s.w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return w.Flush()
}
