package gateway

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// A mailboxQueue limits the requests at a time for each mailbox. Those above the limit wait
// in the order of their arrival.
type mailboxQueue struct {
	mu    sync.Mutex
	boxes map[string]*mailboxSlots
}

type mailboxSlots struct {
	slots *semaphore.Weighted
	users int // that hold a slot or wait for one
}

// enter waits for one of limit slots of mailbox. leave must be called if err is nil.
func (q *mailboxQueue) enter(ctx context.Context, mailbox string, limit int) (leave func(), err error) {
	mailbox = strings.ToLower(mailbox)
	q.mu.Lock()
	if q.boxes == nil {
		q.boxes = map[string]*mailboxSlots{}
	}
	b := q.boxes[mailbox]
	if b == nil {
		b = &mailboxSlots{slots: semaphore.NewWeighted(int64(limit))}
		q.boxes[mailbox] = b
	}
	b.users++
	q.mu.Unlock()

	forget := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if b.users--; b.users == 0 {
			delete(q.boxes, mailbox)
		}
	}
	if err := b.slots.Acquire(ctx, 1); err != nil {
		forget()
		return nil, err
	}
	return func() {
		b.slots.Release(1)
		forget()
	}, nil
}
