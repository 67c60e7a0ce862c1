package gateway

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// An edit replaces a part of the header section.
type edit struct {
	start, end int
	text       string
}

// A header is the header section of a message that is to be changed.
type header struct {
	b      []byte  // as received, without the blank line
	fields []field // in b
	edits  []edit
	top    strings.Builder // fields to add
	fault  error           // why the fields cannot be trusted; nil if they can
}

func newHeader(b []byte) *header {
	fields, size := parseHeader(b)
	return &header{b: b[:size], fields: fields, fault: checkHeader(b, size)}
}

// all returns the fields with this name.
func (h *header) all(name string) (all []field) {
	for _, f := range h.fields {
		if f.name == name {
			all = append(all, f)
		}
	}
	return all
}

func (h *header) replace(f field, text string) {
	h.edits = append(h.edits, edit{f.start, f.end, text})
}

// add adds a field. It comes first: what stands further down may be behind a line that ends
// the header section for some parsers.
func (h *header) add(name, value string) { fmt.Fprintf(&h.top, "%s: %s\r\n", name, value) }

// bytes returns the header section with all changes. A message without a header section
// gets the blank line as well.
func (h *header) bytes() []byte {
	var out bytes.Buffer
	out.WriteString(h.top.String())
	if len(h.fields) == 0 && len(h.b) == 0 {
		return out.Bytes()
	}
	slices.SortStableFunc(h.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	done := 0
	for _, e := range h.edits {
		out.Write(h.b[done:e.start])
		out.WriteString(e.text)
		done = e.end
	}
	out.Write(h.b[done:])
	return out.Bytes()
}

// recipientFields are the fields that an API reads recipients from.
var recipientFields = []string{"to", "cc", "bcc"}

// A disagreement is a recipient that a field names and the envelope does not.
type disagreement struct {
	field   string
	address address
}

func (d *disagreement) Error() string {
	return fmt.Sprintf("the %s field names %s, which is not a recipient of this message", strings.ToUpper(d.field[:1])+d.field[1:], d.address)
}

// setRecipients makes the header name the recipients of the envelope and, unless policy is
// DeliverToThem, nobody else. The error is a *disagreement.
func (h *header) setRecipients(envelope []address, policy HeaderRecipients) error {
	wanted := map[string]bool{}
	for _, a := range envelope {
		wanted[a.key()] = true
	}
	named := map[string]bool{} // in To and Cc, surely
	var bcc []address
	bccNamed := map[string]bool{} // in Bcc, surely
	for _, name := range recipientFields {
		for i, f := range h.all(name) {
			list := parseList(f.body(h.b))
			if err := h.checkList(f, list, wanted, policy); err != nil {
				return err
			}
			sure := i == 0 && f.sure && wellFormed(f.body(h.b)) // APIs may ignore a repeated field
			for _, m := range list {
				for _, a := range m.addresses {
					switch {
					case policy != DeliverToThem && !wanted[a.key()]:
					case name == "bcc":
						bcc = append(bcc, a)
						bccNamed[a.key()] = bccNamed[a.key()] || sure
					case sure:
						named[a.key()] = true
					}
				}
			}
		}
	}
	h.setBcc(bcc, bccNamed, named, envelope)
	return nil
}

// wellFormed reports whether a strict parser understands an address list. A recipient that
// only a tolerant one finds is repeated in Bcc: the API may be strict.
func wellFormed(list string) bool {
	_, err := strictList(list)
	return err == nil
}

func strictList(list string) ([]*mail.Address, error) {
	return mail.ParseAddressList(strings.ReplaceAll(list, "\r\n", ""))
}

// onlyStrict returns the mailboxes that a strict parser finds in an address list and
// parseList does not, such as one that looks like an encoded word.
func onlyStrict(body string, list []mailbox) (all []mailbox) {
	strict, err := strictList(body)
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, m := range list {
		for _, a := range m.addresses {
			seen[a.key()] = true
		}
	}
	for _, s := range strict {
		i := strings.LastIndexByte(s.Address, '@')
		if a := (address{s.Address[:i], s.Address[i+1:]}); !seen[a.key()] {
			all = append(all, mailbox{addresses: []address{a}})
		}
	}
	return all
}

// checkList applies policy to the mailboxes of f that are not wanted.
func (h *header) checkList(f field, list []mailbox, wanted map[string]bool, policy HeaderRecipients) error {
	if policy == DeliverToThem {
		return nil
	}
	var kept []string
	dropped := false
	body := f.body(h.b)
	for _, m := range slices.Concat(list, onlyStrict(body, list)) {
		var rest []string
		for _, a := range m.addresses {
			if wanted[a.key()] {
				rest = append(rest, a.String())
				continue
			}
			if policy == RefuseMessage {
				return &disagreement{f.name, a}
			}
			dropped = true
		}
		if len(rest) == len(m.addresses) && m.end > m.start {
			rest = []string{strings.TrimSpace(body[m.start:m.end])}
		}
		kept = append(kept, rest...)
	}
	switch {
	case !dropped || f.name == "bcc": // setBcc writes Bcc
	case len(kept) == 0:
		h.replace(f, "")
	default:
		name := string(h.b[f.start:f.value])
		h.replace(f, name+" "+strings.Join(kept, ",\r\n ")+"\r\n")
	}
	return nil
}

// setBcc adds to the Bcc field the recipients of the envelope that no field names. It
// leaves the field alone if there is nothing to add or to drop.
func (h *header) setBcc(present []address, inBcc, named map[string]bool, envelope []address) {
	all, seen := []string{}, map[string]bool{}
	missing := false
	for i, a := range slices.Concat(present, envelope) {
		k := a.key()
		if seen[k] || named[k] && i >= len(present) {
			continue
		}
		seen[k] = true
		missing = missing || !inBcc[k]
		all = append(all, a.String())
	}
	fields := h.all("bcc")
	had := 0
	for _, f := range fields {
		for _, m := range parseList(f.body(h.b)) {
			had += len(m.addresses)
		}
	}
	if !missing && had == len(present) {
		return
	}
	for _, f := range fields {
		h.replace(f, "")
	}
	if len(all) > 0 {
		h.add("Bcc", strings.Join(all, ",\r\n "))
	}
}

// rewriteSender makes mailbox the address of From. The original From becomes Reply-To,
// unless there is one. Sender is removed, as it would name another sender.
func (h *header) rewriteSender(mailbox string) {
	var original string
	name := ""
	from := h.all("from")
	for i, f := range from {
		body := f.body(h.b)
		list := parseList(body)
		own, _ := parseAddress(mailbox)
		if i == 0 && len(list) == 1 && len(list[0].addresses) == 1 {
			if list[0].addresses[0].key() == own.key() && len(from) == 1 {
				h.dropAll("sender")
				return
			}
			if list[0].angle > list[0].start {
				name = strings.Trim(body[list[0].start:list[0].angle], " \t\r\n")
			}
		}
		if i == 0 && len(list) > 0 {
			original = strings.TrimSpace(body)
		}
		h.replace(f, "")
	}
	h.dropAll("sender")
	if original != "" && len(h.all("reply-to")) == 0 {
		h.add("Reply-To", original)
	}
	if name != "" {
		h.add("From", name+" <"+mailbox+">")
	} else {
		h.add("From", mailbox)
	}
}

func (h *header) dropAll(name string) {
	for _, f := range h.all(name) {
		h.replace(f, "")
	}
}

// addMissing adds Date and Message-ID if they are missing.
func (h *header) addMissing(mailbox string, now time.Time) {
	if len(h.all("date")) == 0 {
		h.add("Date", now.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
	if len(h.all("message-id")) == 0 {
		_, domain, _ := strings.Cut(mailbox, "@")
		h.add("Message-ID", "<"+rand.Text()+"@"+cmp.Or(domain, "localhost")+">")
	}
}
