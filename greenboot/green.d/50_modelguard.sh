#!/usr/bin/bash
# What modelguard said of this boot, once more, beside greenboot's own line.
systemctl --quiet is-enabled modelguardd.service 2>/dev/null || exit 0
exec timeout --kill-after=5s 20s modelguard gate --timeout 10s </dev/null
