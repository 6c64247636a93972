#!/usr/bin/perl
# Who am I to you? A server that answers every message with its own name and the address it saw, and its client.
#
#   netlab.pl serve tcp|udp ADDRESS PORT NAME     until it is killed; prints "ready"
#   netlab.pl ask tcp|udp ADDRESS PORT [OWN-PORT] prints the answer, "NAME saw ADDRESS"; status 1 after $ASK_TIMEOUT seconds (4) without
#
# Only modules of perl-base.
use strict;
use warnings;
use Socket qw(:DEFAULT :addrinfo);

my ($verb, $proto, $host, $port, $last) = @ARGV;
my $type = $proto eq 'udp' ? SOCK_DGRAM : SOCK_STREAM;
my ($err, $at) = getaddrinfo($host, $port, {flags => AI_NUMERICHOST, socktype => $type});
die "$host: $err\n" if $err;

sub address {
	my (undef, $text) = getnameinfo($_[0], NI_NUMERICHOST, NIx_NOSERV);
	return $text;
}

socket(my $s, $at->{family}, $type, 0) or die "socket: $!\n";
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);

if ($verb eq 'serve') {
	bind($s, $at->{addr}) or die "bind: $!\n";
	listen($s, 8) if $proto eq 'tcp';
	$| = 1;
	print "ready\n";
	while (1) {
		if ($proto eq 'tcp') {
			my $peer = accept(my $c, $s) or next;
			sysread($c, my $buf, 100);
			syswrite($c, "$last saw " . address($peer) . "\n");
			close($c);
		} else {
			my $peer = recv($s, my $buf, 100, 0) // next;
			send($s, "$last saw " . address($peer) . "\n", 0, $peer);
		}
	}
}

$SIG{ALRM} = sub { exit 1 };
alarm($ENV{ASK_TIMEOUT} || 4);
if ($last) {
	my (undef, $own) = getaddrinfo($at->{family} == AF_INET ? '0.0.0.0' : '::', $last, {socktype => $type});
	bind($s, $own->{addr}) or die "bind: $!\n";
}
connect($s, $at->{addr}) or exit 1;
syswrite($s, "?\n") or exit 1;
sysread($s, my $answer, 200) or exit 1;
print $answer;
