# DragonFly's mail agent, as Debian's package sets it up.
mkdir -p /etc/dma /var/spool/dma
cat >/etc/dma/dma.conf <<X
SMARTHOST 127.0.0.1
PORT {{.Port}}
AUTHPATH /etc/dma/auth.conf
INSECURE
MAILNAME client.example.net
X
echo 'dma|127.0.0.1:{{.Password}}' >/etc/dma/auth.conf
chown -R root:mail /etc/dma /var/spool/dma
chmod 2775 /var/spool/dma
