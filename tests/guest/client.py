"""pymongo as an application has it: client.py OPTIONS, a JSON object.

`uri` and `tls…` options go to MongoClient as they stand. Every name resolves to `address` and `port`, as the cluster's DNS
and Service would have it. Each line on standard input is a command (`ping`, `insert NAME`, `find NAME`, `create-user NAME
PASSWORD`, `hosts`), and each is answered by a line of JSON: what came back or the `error`, and how many connections of the
application were opened and closed so far; the driver's own to watch the server are not counted.
"""

import json
import socket
import sys

import pymongo
import pymongo.errors
import pymongo.monitoring

options = json.loads(sys.argv[1])
place = (options.pop("address"), options.pop("port"))


def resolve(_host, _port, *_family, **_more):
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]


socket.getaddrinfo = resolve


class Connections(pymongo.monitoring.ConnectionPoolListener):
    opened = 0
    closed = 0

    def connection_ready(self, event):
        self.opened += 1

    def connection_closed(self, event):
        self.closed += 1

    def ignore(self, event):
        pass

    pool_created = pool_ready = pool_cleared = pool_closed = connection_created = ignore
    connection_check_out_started = connection_check_out_failed = ignore
    connection_checked_out = connection_checked_in = ignore


connections = Connections()
client = pymongo.MongoClient(options.pop("uri"), event_listeners=[connections], **options)
things = client.test.things
for line in sys.stdin:
    command, _, name = line.strip().partition(" ")
    try:
        if command == "ping":
            answer = {"ok": client.admin.command("ping")["ok"]}
        elif command == "insert":
            things.insert_one({"name": name})
            answer = {"ok": 1.0}
        elif command == "find":
            answer = {"ok": 1.0, "found": len(list(things.find({"name": name})))}
        elif command == "hosts":
            answer = {"ok": 1.0, "hosts": client.admin.command("hello")["hosts"]}
        elif command == "create-user":
            user, _, password = name.partition(" ")
            client.admin.command("createUser", user, pwd=password, roles=["hostManager"])
            answer = {"ok": 1.0}
        else:
            raise SystemExit(f"no such command: {command}")
    except pymongo.errors.PyMongoError as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer | {"opened": connections.opened, "closed": connections.closed}), flush=True)
