#!/bin/sh
# Puts the certificate Secret where a service reads it, before the service starts at every boot; with --reload it also has
# a running service take a Secret that has changed, and goes back to the old files where that fails. The same for every
# guest: what differs is in /etc/tandem/tls.conf.
program=tandem-tls
