# A script up and down again, by Net::ManageSieve; prints what it saw, one line each.
# Usage: managesieve_tour.pl HOST PORT USER SCRIPT_FILE require|no (STARTTLS) CA_FILE
use strict;
use warnings;
use Net::ManageSieve;

my ($host, $port, $user, $file, $tls, $ca) = @ARGV;

sub connected {
	my $client = Net::ManageSieve->new(
		$host, Port => $port, Timeout => 30,
		tls => { mode => $tls, SSL_ca_file => $ca, SSL_verify_mode => 1 },
	);
	die "no connection: $@" unless $client;
	return $client;
}

my $client = connected();
print 'wrong password: ', ($client->login($user, 'wrong') ? 'accepted' : 'refused'), "\n";
print 'password: ', ($client->login($user, 'pass') ? 'accepted' : 'refused'), "\n";
print 'encrypted: ', ($client->encrypted ? 'yes' : 'no'), "\n";
open(my $in, '<:raw:encoding(UTF-8)', $file) or die;
my $script = do { local $/; <$in> };
print 'putscript: ', ($client->putscript('large', $script) ? 'ok' : $client->error), "\n";
my $got = $client->getscript('large');
$_ =~ s/\s+\Z// for $script, $got;
print 'getscript: ', ($got eq $script ? 'equal' : 'other'), "\n";
print 'listscripts: ', join(',', @{ $client->listscripts }), "\n";
$client->logout;
