package imap

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// known are the capabilities that clients may see, beside AUTH= and those with
// numbers: those registered at IANA, and those of servers that clients make use of.
// An unknown one could be a secret that a hostile server repeats. After login a
// client can ask the upstream itself, and then sees all that it announces.
var known = spelling(`
	ACL ANNOTATE-EXPERIMENT-1 APPENDLIMIT BINARY CATENATE CHILDREN COMPRESS=DEFLATE
	CONDSTORE CONTEXT=SEARCH CONTEXT=SORT CONVERT CREATE-SPECIAL-USE ENABLE ESEARCH
	ESORT FILTERS I18NLEVEL=1 I18NLEVEL=2 ID IDLE IMAP4 IMAP4rev1 IMAP4rev2
	INPROGRESS LANGUAGE LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS LIST-STATUS
	LITERAL+ LITERAL- LOGIN-REFERRALS LOGINDISABLED MAILBOX-REFERRALS METADATA
	METADATA-SERVER MOVE MULTIAPPEND MULTISEARCH NAMESPACE NOTIFY OBJECTID PARTIAL
	PREVIEW PREVIEW=FUZZY QRESYNC QUOTA QUOTASET QUOTA=RES-ANNOTATION-STORAGE
	QUOTA=RES-MAILBOX QUOTA=RES-MESSAGE QUOTA=RES-STORAGE REPLACE SASL-IR SAVEDATE
	SEARCH=FUZZY SEARCHRES SNIPPET=FUZZY SORT SORT=DISPLAY SPECIAL-USE STARTTLS
	STATUS=SIZE THREAD THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS UIDONLY
	UIDPLUS UNAUTHENTICATE UNSELECT URL-PARTIAL URLAUTH URLAUTH=BINARY UTF8=ACCEPT
	UTF8=ALL UTF8=APPEND UTF8=ONLY UTF8=USER WITHIN

	ANNOTATEMORE LIST-SUBSCRIBED NO_ATOMIC_RENAME SCAN
	X-APPLE-REMOTE-LINKS X-GM-EXT-1 X-MSG-EXT X-NETSCAPE X-SUN-IMAP X-UNAUTHENTICATE
	XAOL-READ XAPPLELITERAL XAPPLEPUSHSERVICE XLIST XMAGICTRASH XMOVE XSNIPPET=FUZZY
	XSTOP XYMHIGHESTMODSEQ XYZZY`)

// withValue are the capabilities with a value that only the server knows.
var withValue = regexp.MustCompile(`^(?i:(?:APPENDLIMIT|MESSAGELIMIT|SAVELIMIT)=[0-9]{1,20}|RIGHTS=[kxten]{1,5})$`)

func spelling(list string) map[string]string {
	words := make(map[string]string)
	for word := range strings.FieldsSeq(list) {
		words[strings.ToUpper(word)] = word
	}
	return words
}

// KnownCapabilities returns the known capabilities of a list, in its order. It returns
// at least one, as a list of none would be malformed.
func KnownCapabilities(list string) (capabilities []string) {
	for word := range strings.FieldsSeq(list) {
		upper := strings.ToUpper(word)
		if name, ok := strings.CutPrefix(upper, "AUTH="); ok {
			for _, mechanism := range sasl.Known([]string{name}) {
				capabilities = append(capabilities, "AUTH="+mechanism)
			}
		} else if word, ok := known[upper]; ok {
			capabilities = append(capabilities, word)
		} else if withValue.MatchString(upper) {
			capabilities = append(capabilities, upper)
		}
	}
	if capabilities == nil {
		return []string{"IMAP4rev1"}
	}
	return capabilities
}
