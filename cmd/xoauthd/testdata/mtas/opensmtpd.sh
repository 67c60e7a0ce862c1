# OpenSMTPD, which authenticates inside TLS only.
echo 'opensmtpd:x:991:991::/var/lib/opensmtpd/empty:/usr/sbin/nologin
opensmtpq:x:992:992::/var/lib/opensmtpd/empty:/usr/sbin/nologin' >>/etc/passwd
echo 'opensmtpd:x:991:
opensmtpq:x:992:' >>/etc/group
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 711 /var/spool/smtpd
echo client.example.net >/etc/mailname
echo 'smarthost opensmtpd:{{.Password}}' >/etc/smtpd.credentials
chmod 600 /etc/smtpd.credentials
cat >/etc/smtpd.conf <<X
table credentials file:/etc/smtpd.credentials
bounce warn-interval 3d
listen on socket
action "relay" relay host "smtp+tls://smarthost@127.0.0.1:{{.TLSPort}}" tls no-verify auth <credentials>
match from local for any action "relay"
X
chgrp opensmtpq /usr/sbin/smtpctl
chmod 2755 /usr/sbin/smtpctl
ln -s /usr/sbin/smtpctl /opt/sendmail # which goes by this name
