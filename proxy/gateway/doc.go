// Package gateway receives whole messages by SMTP in this process and sends them by
// Microsoft Graph, the Gmail API or an SMTP server. Sessions of accounts log in with
// XOAUTH2; sessions of devices do not log in.
//
// A session of the proxy reaches a Server like any upstream: it dials, sends EHLO and relays
// what the client sends. The Server passes each message to a Deliverer:
//
//   - Graph: the sendMail action of Microsoft Graph;
//   - Gmail: the media upload of users.messages.send of the Gmail API;
//   - Submission: SMTP to a submission server, one transaction for each message.
//
// The client receives 250 only after the provider has accepted the message. There is no queue
// on disk: a client that cannot wait or retry needs an MTA in front.
//
// # Envelope and header
//
// The APIs read the recipients from the To, Cc and Bcc fields, and SMTP has them in the
// envelope. A recipient of the envelope that no field surely names is added to Bcc, which
// the provider removes before delivery. A field counts as sure if a strict parser reads it,
// it is the first of its name, and no malformed line is before it. A recipient that only
// the header names is refused, delivered to, or dropped, as Rules.HeaderRecipients says.
// Apart from these fields, and From, Sender and Reply-To with Rules.RewriteSender, no byte
// changes. Signatures stay valid.
//
// # Limits
//
// A message over 256 KiB goes to a file without a name. What a session needs does not
// depend on the size of its message: 100 senders of 30 MB need 20 MiB of memory together,
// and an idle session 35 KiB (BenchmarkMemory, HTTP client and server included). Sizes,
// times, recipients, the header section and commands have limits; see Limits.
//
// # Replies
//
// GraphFailures and GmailFailures list each error of the APIs with the client's reply.
// docs/sending-by-api.md has the replies of each Kind.
package gateway
