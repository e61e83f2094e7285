# Bash completion for quern: subcommands, their options, and the values of those that have a fixed set. The options stand here as in
# apps/quern/*.cpp; a new one is added in both places.

_quern() {
  local engine_options='--threads -t --ops --isa --kv --context --yarn --template'
  local model_options="--model -m $engine_options"
  local input_options='--tokens --tokens-file'
  local commands='run report chat ask mcp serve generate logits tokenize render inspect schema quantize calibrate compare synth bench eval pull list rm doctor'
  # Bash splits words at = and : as well; here "--input=month=may" is one word again.
  local cur prev words cword
  if declare -F _init_completion >/dev/null; then
    _init_completion -n =: || return
  else
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    cur=${words[cword]} prev=${words[cword - 1]}
  fi
  COMPREPLY=()

  # The subcommand is the first word that is no option; eval has one of its own.
  local command='' second='' word
  for word in "${words[@]:1:cword-1}"; do
    [[ $word == -* ]] && continue
    if [[ -z $command ]]; then command=$word; elif [[ -z $second ]]; then second=$word; fi
  done
  if [[ -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help -h --version" -- "$cur")
    return
  fi
  if [[ $command == eval && $second != tools && $second != needle && $second != bfcl ]]; then
    mapfile -t COMPREPLY < <(compgen -W 'tools needle bfcl --help -h' -- "$cur")
    return
  fi

  case $prev in
    --ops) mapfile -t COMPREPLY < <(compgen -W 'reference cpu' -- "$cur"); return ;;
    --isa) mapfile -t COMPREPLY < <(compgen -W 'scalar avx2 avx512 amx' -- "$cur"); return ;;
    --kv | --result-kv) mapfile -t COMPREPLY < <(compgen -W 'f32 bf16 int8' -- "$cur"); return ;;
    --template) mapfile -t COMPREPLY < <(compgen -W 'instruct thinking coder' -- "$cur"); return ;;
    --suite) mapfile -t COMPREPLY < <(compgen -W 'chain single files mixed parallel errors documents' -- "$cur"); return ;;
    --quotes) mapfile -t COMPREPLY < <(compgen -W 'constrained free' -- "$cur"); return ;;
    --category)
      mapfile -t COMPREPLY < <(compgen -W 'simple_python simple_java simple_javascript multiple parallel parallel_multiple irrelevance live_simple
        live_multiple live_parallel live_parallel_multiple live_irrelevance live_relevance multi_turn_base multi_turn_miss_func
        multi_turn_miss_param multi_turn_long_context' -- "$cur")
      return ;;
    --kind) mapfile -t COMPREPLY < <(compgen -W 'auto prose tools' -- "$cur"); return ;;
    --split) mapfile -t COMPREPLY < <(compgen -W 'held-out training' -- "$cur"); return ;;
    --formats) mapfile -t COMPREPLY < <(compgen -W 'assert ignore' -- "$cur"); return ;;
    --to) mapfile -t COMPREPLY < <(compgen -W 'folder gguf' -- "$cur"); return ;;
    --log) mapfile -t COMPREPLY < <(compgen -W 'logfmt json none' -- "$cur"); return ;;
    --tool-choice) mapfile -t COMPREPLY < <(compgen -W 'auto required' -- "$cur"); return ;;
    --format)
      local formats='mxfp4 mxfp4-q8 qx86-hi q4 q6 q8 bf16 f32'
      [[ $command == quantize ]] && formats+=' q4_k_m f16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs'
      mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$cur"); return ;;
    --model | -m)
      _quern_files "$cur"
      mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(_quern_models "$cur")
      return ;;
    --models | --catalogue | --data | --trace | --tasks | --root) _quern_files "$cur" folders; return ;;
    --docs | --question-file | --index | --results | --tokens-file | --file | --out | --tokenizer | --export | --svg | --schema | --grammar | --instances | --recipe | \
      --policy | --journal | --api-key-file | --tls-cert | --tls-key | --config | --report | --report-text | --importance | --feedback-text) _quern_files "$cur"; return ;;
    --tools) mapfile -t COMPREPLY < <(compgen -W 'none files all' -- "$cur"); return ;;
    --load)
      mapfile -t COMPREPLY < <(cd "${XDG_DATA_HOME:-$HOME/.local/share}/quern/chats" 2>/dev/null && compgen -G "$cur*.json" | sed 's/\.json$//')
      return ;;
    # Values nobody can guess.
    --host | --port | --allowed-host | --cors | --memory | --keep | --cache-memory | --cache-disk | --max-running | --max-waiting | --prefill-tokens | \
      --max-header | --max-body | --max-bodies | --json-depth | --header-time | --body-time | --idle-time | --write-time | --request-time | \
      --max-requests | --max-connections | --max-per-address | --grace | --threads | -t | --context | --yarn | --system | --mcp | --allow-host | --tool-host | --input | --resume | --max-turns | --max-tokens | --temperature | --top-p | --top-k | --min-p | --seed | --stop | --regex | \
      --prompt | --tokens | --decode | --chunk | --episodes | --length | --window | --report-episodes | --feedback-tokens | --lengths | --max-length | \
      --depths | --trials | --revision | --include | --exclude | --name | --endpoint | --jobs | -j | --resume-at | --prune | --budget | --max-file | --max-quotes | --max-quote | --chunks | --limit) return ;;
    --text)
      case $command in calibrate | compare) _quern_files "$cur" ;; esac
      return ;;
    -o) [[ $command == calibrate ]] && { _quern_files "$cur"; return; } ;;
    -d) [[ $command == ask ]] && { _quern_files "$cur"; return; }; [[ $command == bench ]] && return ;;
    -p | -n | -r) [[ $command == bench || $command == serve ]] && return ;;
  esac

  if [[ $cur == -* ]]; then
    local options='--help -h'
    case $command in
      run) options+=" --root --input --mcp --policy --resume --in-doubt --list --prune --journal --no-journal --schema --yes -y --dry-run --json --report --max-turns --budget --temperature --seed --unconstrained $model_options" ;;
      mcp) options+=" --models --tasks --root --yes -y $model_options" ;;
      serve)
        options+=" --host --port -p --api-key-file --tls-cert --tls-key --allowed-host --cors --model -m --models --catalogue --memory --keep"
        options+=" --max-running --max-waiting --prefill-tokens --cache-memory --cache-disk --data --no-data --keep-volatile-lines --claude-names"
        options+=" --no-page --tools --mcp --root --tool-host"
        options+=" --max-header --max-body --max-bodies --json-depth --header-time --body-time --idle-time --write-time --request-time"
        options+=" --max-requests --max-connections --max-per-address --grace --log --log-prompts --trace --config --print-config"
        options+=" $engine_options" ;;
      ask)
        options+=" --docs -d --question-file --all --max-file --quotes --max-quotes --max-quote --strict --chunks --index --no-index"
        options+=" --show-context --max-tokens --temperature --seed --json $model_options" ;;
      report) options+=' --journal' ;;
      chat)
        options+=" --system --file --tools --mcp --allow-host --root --yes -y --load --temperature --top-p --top-k --min-p --seed --max-tokens"
        options+=" --no-thinking --no-history $model_options" ;;
      generate)
        options+=" --prompt $input_options --max-tokens --temperature --top-p --top-k --min-p --seed --stop --ignore-eos --json"
        options+=" --schema --grammar --regex --any-json --formats $model_options" ;;
      logits) options+=" $input_options --out --hidden --mtp --chunk $model_options" ;;
      tokenize) options+=' --model -m --tokenizer --text --file --decode --json' ;;
      render) options+=' --template --json' ;;
      inspect) options+=' --model -m --context --json' ;;
      schema) options+=' --instances --formats --bench --model -m --tokenizer --json' ;;
      quantize)
        options+=' --to --format --recipe --fast --importance --feedback --feedback-text --feedback-tokens --force --no-mtp --packed --report --report-text --report-episodes --threads -t' ;;
      calibrate) options+=" --text --out -o --tokens $engine_options" ;;
      compare)
        options+=" --text --tokens --episodes --length --split --seed --report --result-kv --json $engine_options" ;;
      synth) options+=' --format --packed --mtp --force --threads -t' ;;
      pull) options+=' --revision --include --exclude --name --endpoint --jobs -j --no-hub-cache --any --dry-run --json' ;;
      list | doctor) options+=' --json' ;;
      rm) options+=' --yes -y' ;;
      bench) options+=" -p -n -d -r --json $model_options" ;;
      eval)
        if [[ $second == bfcl ]]; then
          options+=" --category --limit --unconstrained --max-tokens --export --results --verbose --json $model_options"
        elif [[ $second == needle ]]; then
          options+=" --lengths --max-length --depths --trials --seed --kind --split --svg --verbose --json $model_options"
        else
          options+=" --episodes --length --suite --split --seed --resume-at --unconstrained --tool-choice --compare --svg --export"
          options+=" --tokenizer --window --verbose --json $model_options"
        fi ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  fi

  case $command in
    run | report | render | schema) _quern_files "$cur" ;;
    eval) [[ $second == bfcl ]] && _quern_files "$cur" folders ;;
    rm) mapfile -t COMPREPLY < <(_quern_models "$cur") ;;
    inspect)
      _quern_files "$cur"
      mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(_quern_models "$cur") ;;
    calibrate | compare) _quern_files "$cur" folders ;;
    quantize) _quern_files "$cur" ;;
    synth)
      _quern_files "$cur"
      [[ -n $second ]] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W 'tiny mini slice4 slice8 full80' -- "$cur") ;;
  esac
}

# _quern_models WORD: names in the catalogue.
_quern_models() {
  local folder=${QUERN_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/quern/models}
  compgen -W "$(cd "$folder" 2>/dev/null && compgen -G '*' | sed -e '/\.partial$/d' -e 's/\.gguf$//') pebble" -- "$1"
}

# _quern_files WORD [folders]
_quern_files() {
  local kind=-f
  [[ ${2:-} == folders ]] && kind=-d
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$kind" -- "$1")
}

complete -F _quern quern
