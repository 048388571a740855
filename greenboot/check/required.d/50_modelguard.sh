#!/usr/bin/bash
# Whether the models of this device speak against this boot. Fails only where the OS is to blame (modelguard(1), gate), and
# always ends. Both greenboots run it: no redirection into a file that may exist (bash -C), no child that outlives it.
if ! systemctl --quiet is-enabled modelguardd.service 2>/dev/null; then
    echo "modelguardd.service is not enabled: modelguard has no say in this boot"
    exit 0
fi
# The gate keeps its own bound, half an hour at the very most; this one is for a program that hangs.
exec timeout --kill-after=10s 31m modelguard gate </dev/null
