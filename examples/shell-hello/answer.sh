# One HTTP request on standard input, its response on standard output.
read -r method path _ || exit 0 # a connection without a request: somebody looks whether we listen

cr=$(printf '\r')
length=0
while read -r line && line=${line%"$cr"} && [ -n "$line" ]; do
	case $line in
	[Cc]ontent-[Ll]ength:*) length=${line#*: } ;;
	esac
done
payload=$(head -c "$length")

name=$(printf %s "$payload" | sed -n 's/.*"name" *: *"\([^"\\]*\)".*/\1/p')
echo "greeting ${name:-world}" >&2 # the function's log
body=$(printf '{"hello":"%s","method":"%s","path":"%s"}' "${name:-world}" "$method" "$path")
printf 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "${#body}" "$body"
