#!/bin/bash
# Lets InfluxQL (which Wattline reads with, because 1.x, 2.x and 3.x all answer it) see the bucket as a database of the same name.
# The image runs this once, right after its first setup, with the names and the administrator's token in the environment.
# By hand for a server that is set up already: influx v1 dbrp create --db wattline --rp autogen --default --bucket-id ID
set -euo pipefail
influx v1 dbrp create \
    --org "$DOCKER_INFLUXDB_INIT_ORG" \
    --bucket-id "$DOCKER_INFLUXDB_INIT_BUCKET_ID" \
    --db "$DOCKER_INFLUXDB_INIT_BUCKET" \
    --rp autogen \
    --default
