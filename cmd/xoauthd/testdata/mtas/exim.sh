# Exim, with everything sent to a smarthost. It pipelines QUIT and half-closes.
echo 'Debian-exim:x:990:990::/var/spool/exim4:/usr/sbin/nologin' >>/etc/passwd
echo 'Debian-exim:x:990:' >>/etc/group
mkdir -p /etc/exim4 /var/spool/exim4/log
cat >/etc/exim4/exim4.conf <<X
primary_hostname = client.example.net
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = /var/spool/exim4
log_file_path = /var/spool/exim4/log/%slog
keep_environment =
trusted_users = root
begin routers
all:
  driver = manualroute
  transport = smarthost
  route_list = * 127.0.0.1::{{.Port}}
  self = send
begin transports
smarthost:
  driver = smtp
  hosts_require_auth = *
  hosts_avoid_tls = *
begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^exim^{{.Password}}
X
chown -R Debian-exim:Debian-exim /var/spool/exim4
