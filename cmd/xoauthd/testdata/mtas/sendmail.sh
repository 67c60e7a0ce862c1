# sendmail, which wants its own m4.
# Without a full name of its machine, sendmail sleeps for a minute at each start.
echo "127.0.1.1 $(hostname).example.net $(hostname)" >>/etc/hosts
mkdir -p /var/spool/mqueue
chmod 700 /var/spool/mqueue
cat >/etc/mail/authinfo <<X
AuthInfo:127.0.0.1 "U:sendmail" "I:sendmail" "P:{{.Password}}" "M:PLAIN LOGIN"
AuthInfo:localhost "U:sendmail" "I:sendmail" "P:{{.Password}}" "M:PLAIN LOGIN"
X
cat >/etc/mail/sendmail.mc <<X
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`debian')dnl
define(\`confHOST_STATUS_DIRECTORY')dnl
DOMAIN(\`generic')dnl
define(\`confDONT_PROBE_INTERFACES',\`True')dnl
define(\`SMART_HOST',\`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS',\`TCP \$h {{.Port}}')dnl
define(\`confDOMAIN_NAME',\`client.example.net')dnl
FEATURE(\`authinfo',\`hash /etc/mail/authinfo')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
MAILER(\`smtp')dnl
X
cd /usr/share/sendmail/cf
m4 -D_CF_DIR_=/usr/share/sendmail/cf/ /etc/mail/sendmail.mc >/etc/mail/sendmail.cf
touch /etc/mail/local-host-names /etc/mail/relay-domains /etc/mail/trusted-users
/usr/libexec/sendmail/makemap hash /etc/mail/authinfo </etc/mail/authinfo
