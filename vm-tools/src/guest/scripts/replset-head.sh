#!/bin/sh
# Initiates the replica set, from its first member. Runs after mongod at every start, and once there is a set it only says
# so: cut short at any point, it may be run again. What differs between sets is in /etc/tandem/replset.conf.
program=tandem-replset
