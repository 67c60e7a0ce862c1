package imap

import (
	"regexp"
	"strings"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// known are the capabilities that clients may see, besides AUTH= and those with
// numbers: the ones registered at IANA, and the ones of providers that clients use.
// Others are hidden, because a hostile server could repeat a secret as a capability.
// After login a client can ask the upstream itself.
var known = spellings(`
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

// withValue matches capabilities with a value that depends on the server.
var withValue = regexp.MustCompile(`^(?i:(?:APPENDLIMIT|MESSAGELIMIT|SAVELIMIT)=[0-9]{1,20}|RIGHTS=[kxten]{1,5})$`)

// spellings maps each word of list in upper case to its spelling.
func spellings(list string) map[string]string {
	words := make(map[string]string)
	for word := range strings.FieldsSeq(list) {
		words[strings.ToUpper(word)] = word
	}
	return words
}

// KnownCapabilities returns the known capabilities of list, in its order. It returns
// at least one, because an empty list is malformed.
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
