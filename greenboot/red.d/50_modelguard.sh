#!/usr/bin/bash
# Why this boot is red, while it can still be asked: the reboot that follows may take a journal that is not kept along.
systemctl --quiet is-enabled modelguardd.service 2>/dev/null || exit 0
for words in "gate --timeout 5s" "status" "history --limit 20" "explain"; do
    read -ra arguments <<<"$words"
    echo "== modelguard $words"
    timeout --kill-after=5s 15s modelguard "${arguments[@]}" </dev/null 2>&1
done
exit 0
