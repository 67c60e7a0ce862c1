package gateway

import (
	"errors"
	"sync"
)

// MaxMessages is the maximum number of messages that a Server receives or delivers at a
// time. A message counts from MAIL to its end, also if its client has left: a delivery goes
// on without it. Each needs up to two file descriptors beside those of its session.
const MaxMessages = 100

// maxAccountMessages is the same for one account.
const maxAccountMessages = 50

var errBusy = errors.New("too many messages are being sent")

// messageLimit counts the messages under way, in all and by account.
type messageLimit struct {
	mu        sync.Mutex
	all       int
	byAccount map[string]int
}

// enter counts a message. It reports false if there are too many. leave must be called at
// its end.
func (l *messageLimit) enter(account string) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= MaxMessages || l.byAccount[account] >= maxAccountMessages {
		return nil, false
	}
	if l.byAccount == nil {
		l.byAccount = make(map[string]int)
	}
	l.all++
	l.byAccount[account]++
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all--
		if l.byAccount[account]--; l.byAccount[account] == 0 {
			delete(l.byAccount, account)
		}
	}), true
}
