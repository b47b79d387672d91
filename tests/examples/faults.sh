#!/usr/bin/env bash
# What may befall a run: killed at random moments, interrupted, two of them in one folder, a full disk, a folder that
# turns read-only. After each: a clear error, the checkpoint as it was, and resuming gives the digits of the
# uninterrupted run. What this machine cannot do to a program is skipped, and said.
# Usage: faults.sh <mixed_numbers> <language_model>
. "$(dirname "$0")/shared.sh"
trap 'end' EXIT
mounts=() locked=() seed=${SEED:-$RANDOM}
end() {
  for folder in "${locked[@]}"; do chattr -i "$folder" 2>/dev/null || true; done
  for folder in "${mounts[@]}"; do umount -l "$folder" 2>/dev/null || true; done
  chmod -R u+w "$work"; rm -rf "$work"
}
fail() { echo "FAILED: $1 (SEED=$seed)" >&2; cat "$work/err" >&2; exit 1; }
skip() { echo "skipped: $1"; }

# call out [options…]: the program under test; start: in the background.
call() { "${program[@]}" --threads 1 --out "$@" >"$work/text" 2>"$work/err"; }
start() { "${program[@]}" --threads 1 --out "$@" >"$work/text" 2>"$work/err" & }
# Waits until a file is there that the program in the background makes.
await() {
  for _ in $(seq 3000); do
    if compgen -G "$1" >/dev/null; then return; fi
    kill -0 $! 2>/dev/null || break
    sleep 0.01
  done
  fail "no $1"
}
saved() { find "$1/checkpoints" -name '*.safetensors' -exec cksum {} + 2>/dev/null; }
# ends status words: the program in the background has ended so.
ends() {
  local status=0
  wait $! || status=$?
  [ "$status" = "$1" ] || fail "ended with $status instead of $1"
  grep -q -- "$2" "$work/err" || fail "does not say \"$2\""
}
# resumes out: to the end, with the digits of the uninterrupted run and nothing left behind.
resumes() {
  call "$1" --resume || fail "resuming $1"
  same "$work/whole" "$1"
  [ ! -e "$1/checkpoints" ] && [ -z "$(find "$1" -name '*.part*')" ] || fail "$1: $(find "$1") is left"
}
# interrupted out signal status: the only checkpoint is the one that the signal asks for, early in a row; one that is
# nearly done would end without saving again.
interrupted() {
  start "$1" --save-seconds 86400
  await "$1/results.json"
  sleep "0.0$((RANDOM % 5))"
  kill "-$2" $!
  ends "$3" "interrupted and saved.*--resume"
  [ -n "$(saved "$1")" ] || fail "SIG$2 leaves no checkpoint"
}
# unharmed words out: resuming fails with these words, and the checkpoints stay as they were.
unharmed() {
  local before
  before=$(saved "$2")
  [ -n "$before" ] || fail "there is no checkpoint to lose"
  if call "$2" --resume --save-seconds 0; then fail "no error where \"$1\" was to be"; fi
  grep -q -- "$1" "$work/err" || fail "does not say \"$1\""
  [ "$(saved "$2")" = "$before" ] || fail "$2: the checkpoint has changed"
}

kills=0 RANDOM=$seed
killed_at_random() {
  local i
  for i in $(seq "$1"); do
    start "$work/killed" --resume --save-seconds 0
    sleep "0.$((RANDOM % 8))$((RANDOM % 10))"
    kill -9 $! 2>/dev/null && kills=$((kills + 1))
    wait $! 2>/dev/null || true
  done
  [ "$kills" -gt 0 ] || fail "no call was killed"
  resumes "$work/killed"
}
forget() { rm -rf "$work"/*; }

program=("$1" --rows moe,global --samples 200 --batch 16 --epochs 2 --seeds 1)
call "$work/whole" || fail "the uninterrupted run"
killed_at_random 3
interrupted "$work/interrupted" TERM 143
cp "$work"/interrupted/checkpoints/paper-*.safetensors "$work/.of_another_experiment"
resumes "$work/interrupted"

forget
program=("$2" --rows moe,global,smoe,smoe-attention,glu+smoe-similarity --blocks 1 --width 32 --heads 2 --experts 4 --chosen 2
  --length 16 --batch 8 --vocabulary 60 --steps 300 --epoch-steps 120 --evaluation-rows 400 --warmup 5 --sentences 100)
call "$work/whole" || fail "the uninterrupted run"
killed_at_random 8
interrupted "$work/interrupted" INT 130

# The checkpoint of another experiment.
cp -r "$work/interrupted" "$work/another"
for checkpoint in "$work"/another/checkpoints/*; do cp "$work/.of_another_experiment" "$checkpoint"; done
unharmed "expected the configuration .* vocabulary 60, .* got row moe, .* samples 200" "$work/another"

# Too large a file, a full disk, a read-only folder: one interrupted run survives them all.
before=$(saved "$work/interrupted")
(trap '' XFSZ && ulimit -f 8 && unharmed "saving .*File too large" "$work/interrupted")
if [ "$(id -u)" = 0 ] && mkdir "$work/disk" && mount -t tmpfs -o size=4m tmpfs "$work/disk" 2>/dev/null; then
  mounts+=("$work/disk")
  cp -r "$work/interrupted" "$work/disk/out"
  free=$(df --output=avail -k "$work/disk" | tail -n 1)
  head -c "$((free - 32))K" /dev/zero >"$work/disk/filler"
  unharmed "saving .*No space left on device" "$work/disk/out"
  rm "$work/disk/filler"
  resumes "$work/disk/out"
else
  skip "the full disk: a tmpfs cannot be mounted here"
fi
if [ "$(id -u)" != 0 ]; then
  chmod a-w "$work/interrupted"
  unharmed "folder .*Permission denied" "$work/interrupted"
  chmod u+w "$work/interrupted"
elif mount --bind "$work/interrupted" "$work/interrupted" 2>/dev/null; then
  mounts+=("$work/interrupted")
  if mount -o remount,ro,bind "$work/interrupted" 2>/dev/null; then
    unharmed "folder .*Read-only file system" "$work/interrupted"
  else
    skip "the read-only folder: it cannot be mounted again here"
  fi
  umount "$work/interrupted"
else
  skip "the read-only folder: it cannot be mounted here"
fi
[ "$(saved "$work/interrupted")" = "$before" ] || fail "the checkpoint has changed"
resumes "$work/interrupted"

# The folder turns read-only while the run is stopped between two steps, or within one.
start "$work/turned" --save-seconds 0
await "$work/turned/checkpoints/*.safetensors"
kill -STOP $!
before=$(saved "$work/turned")
if [ "$(id -u)" != 0 ]; then
  chmod a-w "$work/turned/checkpoints"
  reason="Permission denied"
elif chattr +i "$work/turned/checkpoints" 2>/dev/null; then
  locked+=("$work/turned/checkpoints")
  reason="Operation not permitted"
else
  skip "the folder that turns read-only: root ignores permissions, and this file system has no chattr +i"
  reason=
fi
kill -CONT $!
if [ -n "$reason" ]; then
  ends 1 "saving .*$reason"
  [ "$(saved "$work/turned")" = "$before" ] || fail "the checkpoint has changed"
  [ "$(id -u)" != 0 ] || chattr -i "$work/turned/checkpoints"
  chmod u+w "$work/turned/checkpoints"
else
  wait $! || fail "the run that was stopped"
fi
resumes "$work/turned"

# Two runs into one folder: the second ends at once, the first does not notice.
start "$work/shared"
first=$!
await "$work/shared/results.json"
kill -STOP $first
if call "$work/shared" --resume; then fail "two runs share a folder"; fi
grep -q "no other run writes to, got process $first" "$work/err" || fail "the second run does not say who has the folder"
kill -CONT $first
wait $first || fail "the first of two runs"
resumes "$work/shared"

echo "the same digits after $kills kills, two interrupts, and folders that were full, read-only or taken (SEED=$seed)"
