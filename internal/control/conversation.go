package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// askTime is how long an answer may take: a person may have to sign in at a
// provider first, and look for a second factor.
const askTime = 10 * time.Minute

var (
	errLeft     = errors.New("the command has left")
	errUnasked  = errors.New("the command answers what was not asked")
	errNoAnswer = fmt.Errorf("no answer came within %d minutes", int(askTime.Minutes()))
	errUnclear  = errors.New("the command does not send what a command of xoauthd does")
)

// A Conversation is the daemon's end of one command. Only its Handler uses it,
// one call after the other.
type Conversation struct {
	line    *line
	answers chan string
	user    int
}

// User is the ID of the user who gave the command.
func (c *Conversation) User() int { return c.user }

// Tell sends an event. It returns an error where the command has left.
func (c *Conversation) Tell(event string, data any) error {
	return c.tell(event, data, false)
}

// Ask sends an event and returns what it is answered with.
func (c *Conversation) Ask(ctx context.Context, event string, data any) (string, error) {
	if err := c.tell(event, data, true); err != nil {
		return "", err
	}
	select {
	case a := <-c.answers:
		return a, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-time.After(askTime):
		return "", errNoAnswer
	}
}

func (c *Conversation) tell(event string, data any, ask bool) error {
	b, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("%s: %w", event, err)
	}
	return c.line.write(message{Event: Event{Name: event, Data: b, Ask: ask}})
}

// listen hears answers, and that the command leaves, which it tells by cancel.
// It ends with the connection. An answer waits for its question, one at a time.
func (c *Conversation) listen(cancel context.CancelCauseFunc) {
	for {
		var a answer
		switch err := c.line.read(&a); {
		case err == io.EOF:
			cancel(errLeft)
			return
		case err != nil:
			cancel(fmt.Errorf("%w: %w", errLeft, err))
			return
		}
		select {
		case c.answers <- a.Answer:
		default:
			cancel(errUnasked)
			return
		}
	}
}
