package programs

// sshd starts one with a configuration and keys of its own, for the user that it runs as. An ordinary user has no shell here, so that
// such rows use what sshd does by itself: sftp and forwarding; and it is not nobody, whose account some machines call locked.
const sshd = `
install -m 600 $BIN/ssh/host hostkey
cat >conf <<END
ListenAddress $AT
HostKey $PWD/hostkey
AuthorizedKeysFile $BIN/ssh/user.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
END
exec /usr/sbin/sshd -D -e -f $PWD/conf
`

// ssh prepares a client: OPTIONS for ssh and scp.
const ssh = `
install -m 600 $BIN/ssh/user key
printf '[%s]:%s %s\n' $HOST $PORT "$(cut -d' ' -f1,2 $BIN/ssh/host.pub)" >hosts
OPTIONS="-F none -i key -o UserKnownHostsFile=hosts -o GlobalKnownHostsFile=none -o BatchMode=yes -o ExitOnForwardFailure=yes -o ControlPath=none -o IdentitiesOnly=yes"
`

// shells are the rows of OpenSSH.
func shells() []program {
	row := func(p program) program {
		p.tools, p.setup = []string{"sshd", "ssh", "scp", "ssh-keygen", "nc"}, []string{"keys"}
		p.uid = webUser
		p.server, p.ready = sshd, "Server listening on"
		p.client = ssh + p.client
		return p
	}
	return []program{
		row(program{
			name: "ssh, login", shows: "`SSH_CONNECTION` has both addresses; 8 MiB through a shell, and an exit status",
			moves: midSize,
			client: `ssh $OPTIONS -p $PORT $USER_NAME@$HOST 'echo $SSH_CONNECTION'
ssh $OPTIONS -p $PORT $USER_NAME@$HOST cat <$WWW/mid | cmp - $WWW/mid
e=0; ssh $OPTIONS -p $PORT $USER_NAME@$HOST exit 42 || e=$?; test $e = 42`,
			check: func(p *place) error {
				return wantMatch("SSH_CONNECTION", p.stdout, `(?m)^127\.0\.0\.1 \d+ 127\.0\.0\.1 `+p.listener()+"$")
			},
		}),
		row(program{
			name: "ssh, a terminal, IPv6", shows: "a login with a terminal over `::1`", ipv6: true,
			client: `echo 'tty; echo $SSH_CONNECTION; exit' | ssh $OPTIONS -tt -p $PORT $USER_NAME@$HOST 2>&1`,
			check: func(p *place) error {
				return wantMatch("terminal", p.stdout, `(?s)/dev/pts/\d+.*::1 \d+ ::1 `+p.listener())
			},
		}),
		row(program{
			name: "scp, both ways", shows: "8 MiB there and back, compared", user: true, moves: 2 * midSize,
			client: `mkdir -m 777 far; scp -q $OPTIONS -P $PORT $WWW/mid $USER_NAME@$HOST:$PWD/far/there; scp -q $OPTIONS -P $PORT $USER_NAME@$HOST:$PWD/far/there back; cmp back $WWW/mid`,
		}),
		row(program{
			name: "ssh -L", shows: "a forwarded port, from a listener of the client to one of the server", user: true, spare: []string{"LOCAL"},
			client: `ssh $OPTIONS -v -N -L $HOST:$LOCAL:$HOST:$LISTEN -p $PORT $USER_NAME@$HOST 2>log & forward=$!
until grep -q 'Local forwarding listening on' log && grep -q 'Entering interactive session' log; do kill -0 $forward; sleep 0.05; done
nc -nd $HOST $LOCAL </dev/null >got & reader=$!
until grep -q SSH-2.0 got; do kill -0 $reader; sleep 0.05; done
kill $reader $forward`,
		}),
		row(program{
			name: "ssh -R", shows: "a port forwarded backwards, from a listener of the server to one of the client", user: true, spare: []string{"BACK", "LOCAL"},
			client: `nc -lvn $HOST $LOCAL >got 2>listening </dev/null & reader=$!
until grep -q Listening listening; do sleep 0.05; done
ssh $OPTIONS -v -N -R $HOST:$BACK:$HOST:$LOCAL -p $PORT $USER_NAME@$HOST 2>log & forward=$!
until grep -q 'remote forward success' log; do kill -0 $forward; sleep 0.05; done
echo backwards | ssh $OPTIONS -W $HOST:$BACK -p $PORT $USER_NAME@$HOST & through=$!
until grep -q backwards got; do kill -0 $forward; sleep 0.05; done
kill $through $reader $forward || true`,
		}),
	}
}
