# nullmailer, whose queue runs as the user mail.
spool=/var/spool/nullmailer
mkdir -p $spool/queue $spool/tmp $spool/failed /etc/nullmailer
mkfifo $spool/trigger
echo '127.0.0.1 smtp --port={{.Port}} --user=nullmailer --pass={{.Password}} --auth-login' >/etc/nullmailer/remotes
echo client.example.net >/etc/mailname
echo 1 >/etc/nullmailer/pausetime
echo 1 >/etc/nullmailer/maxpause
chown -R mail:mail $spool /etc/nullmailer
chown mail /usr/sbin/nullmailer-queue
chmod u+s /usr/sbin/nullmailer-queue
