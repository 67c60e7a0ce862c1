package authorize

import (
	"os"
	"testing"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

// TestMain ends the browser when the tests end, also after a timeout.
func TestMain(m *testing.M) {
	children.Supervise()
	os.Exit(m.Run())
}
