// Sends a message with the attachment on standard input, and prints the message as it was
// sent: nodemailer.js PORT USER RECIPIENT HIDDEN-RECIPIENT.
'use strict';

const fs = require('fs');
const { Transform } = require('stream');
const nodemailer = require('nodemailer');

const [port, user, recipient, hidden] = process.argv.slice(2);
const transporter = nodemailer.createTransport({
  host: '127.0.0.1',
  port: Number(port),
  ignoreTLS: true,
  auth: { user, pass: process.env.PASSWORD },
});

const sent = [];
transporter.use('stream', (mail, done) => {
  mail.message.processFunc((message) => {
    const copy = new Transform({
      transform(chunk, encoding, callback) {
        sent.push(chunk);
        callback(null, chunk);
      },
    });
    return message.pipe(copy);
  });
  done();
});

transporter.sendMail({
  from: user,
  to: { name: 'Jürgen, the "recipient"', address: recipient },
  bcc: hidden,
  subject: 'Nodemailer: grüße, 世界',
  text: '.\r\n..\r\n.a dot\r\nFrom a line that mboxes quote\r\n',
  html: '<p>grüße</p>',
  attachments: [{ filename: 'übung.bin', content: fs.readFileSync(0) }],
}).then(() => process.stdout.write(Buffer.concat(sent)), (error) => {
  console.error(error);
  process.exitCode = 1;
});
