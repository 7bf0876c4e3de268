#!/bin/sh
# Puts the replica set's keyFile where mongod reads it, before mongod starts at every boot: on the Secret's disk everybody
# may read it, and mongod wants it to be its own alone. What differs between guests is in /etc/tandem/keyfile.conf.
program=tandem-keyfile
