#!/bin/sh
# Prepares the data disk, as /etc/tandem/data.conf says. cloud-init's fs_setup would not do: it runs once per instance, and
# in 22.4 its "partition: none" formats a disk that already holds data.
program=tandem-data
