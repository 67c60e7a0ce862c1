<?php
// Sends a message with the attachment on standard input, and prints the message as it was
// sent: phpmailer.php PORT USER RECIPIENT HIDDEN-RECIPIENT.
require 'libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;
use PHPMailer\PHPMailer\SMTP;

// RecordingSMTP keeps the lines that it sends after DATA.
class RecordingSMTP extends SMTP
{
    public $lines = [];

    public function client_send($data, $command = '')
    {
        if ($command === 'DATA') {
            $this->lines[] = $data;
        }
        return parent::client_send($data, $command);
    }
}

[, $port, $user, $recipient, $hidden] = $argv;
$smtp = new RecordingSMTP();
$mail = new PHPMailer(true);
$mail->setSMTPInstance($smtp);
$mail->isSMTP();
$mail->Host = '127.0.0.1';
$mail->Port = (int) $port;
$mail->SMTPAutoTLS = false;
$mail->SMTPAuth = true;
$mail->Username = $user;
$mail->Password = getenv('PASSWORD');
$mail->CharSet = PHPMailer::CHARSET_UTF8;
$mail->setFrom($user);
$mail->addAddress($recipient, 'Jürgen, the "recipient"');
$mail->addBCC($hidden);
$mail->Subject = 'PHPMailer: grüße, 世界';
$mail->Body = "<p>grüße</p>\n.\n..\n.a dot\n";
$mail->AltBody = ".\n..\n.a dot\nFrom a line that mboxes quote\n";
$mail->addStringAttachment(stream_get_contents(STDIN), 'übung.bin');
$mail->send();

$lines = array_slice($smtp->lines, 1); // the first is the command DATA
echo preg_replace('/^\./m', '', implode('', $lines));
