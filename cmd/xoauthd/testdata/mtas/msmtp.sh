# msmtp with the queue that its package brings.
cat >/root/.msmtprc <<X
defaults
auth plain
host 127.0.0.1
port {{.Port}}
from {{.User}}
user msmtp
password {{.Password}}
account default
X
chmod 600 /root/.msmtprc
