// Package gateway sends mail for programs that speak SMTP through an API that does not.
//
// A Server is an SMTP server within the process. A session of the proxy reaches it like any
// upstream: it dials, sends EHLO, logs in with XOAUTH2 and relays what the client says. The
// Server receives each message whole and hands it to a Deliverer:
//
//   - Graph: the sendMail action of Microsoft Graph;
//   - Gmail: the media upload of users.messages.send of the Gmail API;
//   - Submission: SMTP to a submission server, one transaction for each message.
//
// The client hears 250 only after the provider has accepted the message. There is no queue
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
// testdata/replies.md has them as tables. Beside them, a session sends:
//
//	| reply       | when                                                       | result              |
//	|-------------|------------------------------------------------------------|---------------------|
//	| 250 2.0.0   | the provider accepted the message; with its request id     | accepted            |
//	| 421 4.4.2   | the message did not arrive completely, or too slowly       | aborted             |
//	| 451 4.4.1   | the provider cannot be reached                             | unavailable         |
//	| 451 4.4.2   | the connection broke after the whole request was sent      | maybe_sent          |
//	| 451 4.3.2   | four messages of the mailbox are being sent for too long   | throttled           |
//	| 451 4.7.1   | MAIL: more messages for a minute than the account may send | throttled           |
//	| 451 4.7.0   | there is no access token                                   | token_unavailable   |
//	| 452 4.3.1   | the disk for large messages is full                        | internal            |
//	| 452 4.5.3   | RCPT: too many recipients                                  |                     |
//	| 501 5.1.3   | MAIL, RCPT: the address is malformed                       |                     |
//	| 530 5.7.0   | MAIL before AUTH                                           |                     |
//	| 550 5.7.1   | MAIL: the device may not send as this sender               | sender_refused      |
//	| 552 5.3.4   | the message or its header is too large                     | too_large           |
//	| 553 5.6.7   | MAIL, RCPT: the address needs SMTPUTF8                     |                     |
//	| 554 5.6.0   | the header names a recipient that the envelope does not    | message_refused     |
//	| 554 5.6.11  | a line of the message ends in LF without CR                | message_refused     |
package gateway
