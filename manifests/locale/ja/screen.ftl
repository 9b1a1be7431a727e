# The dashboard and the commands of sekisho.

# Counts. The denominator is always the registry's.
count-verified = { $sites } 団体中 { $verified } 確認済み
count-held = { $count } 保留
count-silent = { $count } 無応答
count-stopped = { $count } 停止中
count-lapsed = { $count } 不明
count-also-stopped = うち { $count } も停止中
count-under-baseline = 現行ベースラインで { $count }
expiring-root = root
expiring-targets = 修正ベースラインと台帳の署名
expiring-lifts = 停止解除の署名
expiring-certificate = コントローラーの TLS 証明書
expiring-ca = コントローラーの CA
expiring-token = 登録用トークン
expiring-ends = { $what } は { $time } に期限が切れます(残り { $left })。
expiring-ended = { $what } は { $time } に期限が切れました。
not-verified = 現在 { $sites } 団体中 { $count } が確認済みではありません。sekisho sites を参照してください。
count-warned = { $count } 注意あり
count-hosts = サーバー { $count } 台
baseline-version = 修正ベースライン { $version }
baseline-none = 修正ベースライン未公開

# Where the data come from and how old they are.
data-as-of = { $time } 現在
data-last-known = { $age }前の情報
link-connecting = { $controller } に接続しています
link-live = 接続中
link-lost = 通信断 { $age }: { $why }。次の接続まで { $wait }。{ $controller }
link-lost-trying = 通信断 { $age }: { $why }。再接続しています。{ $controller }
link-timeout = 時間内に応答がありません
link-connect = 接続できません
link-refused = アクセスを拒否されました。トークンを確認してください
link-answer = 応答を解釈できません
link-too-large = 応答が大きすぎます
link-status = コントローラーが障害を通知しました
link-ended = 接続が切れました
data-loading = 読み込んでいます
data-none = コントローラーと通信できないため、まだ情報がありません。

# Table heads.
head-state = 状態
head-code = コード
head-name = 団体
head-reason = 理由
head-hosts = 台数
head-hosts-short = 台
head-since = 開始
head-until = 期限
head-host = サーバー
head-roles = 役割
head-verdict = 発行可否
head-heard = 最終通信
head-evidence = 証拠
head-agent = エージェント
head-permit = 許可
head-item = 項目
head-kind = 種類
head-title = 名称
head-outcomes = 判定別サーバー数
head-holds = 保留団体
head-number = 番号
head-time = 日時
head-scope = 範囲
head-operator = 実施者
head-acknowledged = 受領済み
head-outstanding = 未受領
head-lifted = 解除済み
head-digest = ダイジェスト

# The fleet.
more-reasons = +{ $count }
fleet-empty = 台帳に団体がありません。
filter-prompt = 絞り込み (先頭の ! で反転):
filter-shown = { $all } 団体中 { $shown } 団体を表示
filter-nothing = 条件に合う団体はありません。
show-all = すべて
show-only = { $standing }のみ
sort-by = 並び順: { $column }
sort-news = 要対応順
sort-code = コード順
sort-since = 変化の新しい順
sort-until = 期限の近い順

# A site.
site-since = { $time } から
site-until = 証拠の有効期限は { $time } です。
site-never = 証拠が届いていないサーバーがあります。
site-stops = この団体への停止
stop-scope-all = 全団体
stop-scope-sites = 指定した { $count } 団体
stop-scope-prefecture = 都道府県コード { $prefecture }
stop-scope-unrecognized = この版では解釈できない範囲
stop-line = 停止 { $number }: { $scope }、実施者 { $operator }、{ $time }
stop-reason = 理由: { $reason }
stop-progress = この団体のサーバー: 受領済み { $acknowledged }、未受領 { $outstanding }
stop-lifted-here = この団体では解除済みです。
host-heard = 最終通信 { $age }前
host-never-heard = 通信なし
host-evidence = 証拠 { $age }前
host-no-evidence = 証拠なし
host-agent = エージェント { $version }
host-permit = 許可: { $verdict }、{ $time } まで
host-permit-unreceived = 許可: { $verdict }、{ $time } まで (サーバーの受領は未確認)
host-no-permit = 許可なし
host-items-good = その他の { $count } 項目に問題はありません
host-items-elsewhere = このサーバーに該当しない項目 { $count }
host-items-none = 判定した項目がありません。
detail-expected = { $subject }: 期待値 { $expected }、実際 { $found }
waived-until = 例外の期限 { $time }
to-do = 対応: { $action }

# What the appraiser writes into details.
detail-absent = なし
detail-present = あり
detail-unknown = 不明
detail-not-running = 停止中
detail-not-in-evidence = 証拠になし
detail-not-required-yet = 適用期日前
detail-variant = 構成 { $after }
detail-a-listed-release = 登録された版
detail-not-on-this-host = このサーバーには不要
detail-in-force-not-in-evidence = 稼働中の値が証拠にない
detail-in-force-incomparable = 稼働中の値を比較できない
detail-different-values = { $after } 行目で値が異なる
detail-one-of = { $after } のいずれか
detail-matches = { $after } に一致
detail-package = パッケージ { $after }
detail-sealed = 非公開の値 { $after }
detail-unknown-why = 不明: { $after }
detail-in-force-unknown = 稼働中の値は不明: { $after }
detail-named-unknown = { $before } 不明: { $after }
detail-on-disk = { $before } を導入済み、{ $after }
detail-process-older = プロセスは古い { $before } を使用中 ({ $after })
detail-process-another = プロセスから見えるのは別の { $after }
detail-process-runs = 実行中のプロセスは { $after }
detail-processes-unknown = プロセスは不明: { $after }
detail-read-not-in-evidence = プログラムが読み込んだ内容が証拠にない
detail-files-not-listed = 一覧にないファイル { $before } 件
detail-and-more = { $before }、ほか { $after } 件
detail-unclear = { $before } 行目の読み方が定まらない: { $after }
older-held = 使用中のファイル
older-changed = 読み込み後に変更
older-before-first-look = 起動後、最初の確認より前に変更
older-may-have-gone = 起動後に削除された可能性あり
older-mounted = 起動後にマウントされた可能性あり
older-copy = 複製から実行
older-shadowed = 導入先の外から読み込み
detail-known-bad = { $before } (使用禁止: { $after })
detail-no-listed-release = { $before } (登録された版ではない)
detail-in-force = 稼働中の値は { $before }
detail-or = { $before } または { $after }

# Why something is not known.
why-file-absent = ファイルなし
why-key-absent = キーなし
why-unreadable = 読み取り不可
why-too-large = 大きすぎる
why-timed-out = 時間切れ
why-changing = 読み取り中に変化
why-undecodable = 文字コードが異なる
why-malformed = 書式の誤り
why-ambiguous = 異なる値の重複
why-unexpected-value = 想定外の値
why-unsupported = 未対応
why-not-a-file = ファイルではない
why-process-unreadable = プロセスを調べられない
why-not-answering = 応答なし
why-io-error = 読み取り障害

# What is odd where a value is unclear, and what settles it.
odd-duplicate = 同じキーが異なる値で二度書かれています。片方を削除してください
odd-readers = 読み取り方が実装によって異なります。プログラムが従う実装を `reader` で指定してください
odd-key = 名前に点を含む別のキーと同じ書き方になります。ベースラインのキーを queue."print.lock" のように引用符で区切ってください (`reader` では決まりません)
odd-case = キーまたはセクションの大文字・小文字が異なり、区別しない実装があります。`reader` で実装を指定するか、ベースラインと同じ綴りにしてください
odd-section = セクションの見出しの読み方が実装によって異なります (空白、余分な文字、[DEFAULT]、同じセクションの再開)。`reader` で実装を指定するか、[セクション] だけを書いてください
odd-separator = `:` を区切りとする実装としない実装があります。`=` で書くか、`reader` で実装を指定してください
odd-no-value = `=` のないキーで、読み方が実装によって異なります。`reader` で実装を指定してください
odd-quotes = 引用符で囲まれており、外す実装と外さない実装があります。引用符を取るか、`reader` で実装を指定してください
odd-comment = 後ろに、注釈と読む実装がある文字があります。注釈は別の行に書くか、`reader` で実装を指定してください
odd-continuation = 前の行の値の続き、または次の行へ続くと読む実装があります。行頭から `\` なしで書くか、`reader` で実装を指定してください
odd-blanks = 末尾または途中の空白を残す実装があります。空白を取るか、`reader` で実装を指定してください
odd-escape = `\` と次の文字を一つの文字と読む実装があります。`reader` で実装を指定してください
odd-interpolation = `%` を別の値に置き換える実装があります。`reader` で実装を指定してください
odd-byte-order-mark = バイト順マーク (BOM) があり、扱いが実装によって異なります。BOM なしで保存するか、`reader` で実装を指定してください
odd-line-end = 単独の CR があり、行末と読む実装があります。改行を統一して保存するか、`reader` で実装を指定してください
odd-type = yes や 010 のように、別の型と読む実装があります。true や普通の数で書く、文字列は引用符で囲む、または `reader` で実装を指定してください
odd-repeated = 上位の要素が複数あり、これを持たないものがあります。どれが使われるかは `reader` では決まりません
odd-include = 設定の `files` にない別のファイルを取り込んでいます。`files` に加えるか、取り込みの行を削除してください
odd-doctype = 文書型定義が別のファイルにあり、既定値を与える可能性があります。`reader` にかかわらず、値をこのファイルに書いてください
odd-spelling = 数または真偽値と比べますが、TOML の書き方ではないか、比べる文字列と同じに読む可能性のある書き方です。ベースラインと同じ書き方にしてください

# Keys and help.
help-title = キー操作
help-close = Esc、q、? でこの画面を閉じます。
page-more = 続き { $count } 行
help-states = 状態
help-state-held = 項目が基準を満たさないか、証拠が認められません。
help-state-silent = 証拠が期限内に届いていないサーバーがあります。
help-state-stopped = 停止の対象です。
help-state-verified = 証拠の時点で確認済み。発行できます。
help-warned-word = 注意の印
help-warned = 状態の横の印。確認が必要なことがありますが、発行は止まりません。
help-state-lapsed = 証拠の期限が過ぎ、この画面に新しい情報が届いていません。
key-up = 上へ
key-down = 下へ
key-page-up = 前のページ
key-page-down = 次のページ
key-half-up = 半ページ上へ
key-half-down = 半ページ下へ
key-first = 先頭
key-last = 末尾
key-open = 団体を開く
key-back = 戻る
key-clear = 絞り込みを解除
key-close = 閉じる
key-filter = 絞り込み
key-cycle = 次の状態のみ
key-cycle-back = 前の状態のみ
key-next-host = 次のサーバー
key-previous-host = 前のサーバー
key-sort = 並べ替え
key-refresh = 今すぐ取得
key-help = ヘルプ
key-quit = 終了
key-apply = 絞り込みを確定
key-cancel = 絞り込みをやめる
too-small = 画面が小さすぎます ({ $width } x { $height })。60 x 15 以上にしてください。
demo-mark = { $mark }: 実際の団体ではありません

# Commands.
stopped-now = 停止 { $number } を実施しました: { $scope }。
stop-digest = ダイジェスト: { $digest }
stop-not-made = 停止されていません: コントローラーは停止を受け付けませんでした。
stop-unknown = 停止されたかどうか不明です: 要求は送られましたが、回答がありません。`sekisho stops` で確認してください。もう一度停止しても害はありません。
stop-acknowledged = 受領済み ({ $count }):
stop-outstanding = 未受領 ({ $count })。許可の期限までは発行できます:
stop-nobody = なし
stop-permit-end = { $host } { $time } まで
stop-permit-none = { $host } 許可なし
unlisted-none = 引き継ぎを待つ停止はありません。
unlisted-waiting = 台帳にない鍵による停止が { $count } 件、引き継ぎを待っています: sekisho unlisted
head-key = 鍵
set-back = 注意: このコントローラーは過去の状態に戻されました。{ $host } が、ここに記録のない { $proof } を持っています ({ $time } に検出)。管理者が確認するまで発行は許可されません: docs/operations-controllers.md を参照し、sekisho looked-at --note "…" を実行してください。
set-back-brief = 過去の状態に復元されています: 管理者の確認 (sekisho looked-at) まで発行できません。{ $time } 検出、{ $host }、{ $proof }
set-back-unknown = このコントローラーが過去の状態に戻されたかどうかを確認できません: { $cause }
unlisted-unknown = 引き継ぎを待つ停止があるかどうかを確認できません: { $cause }
set-back-looked-at = 記録しました。各サーバーは次の報告から発行できます。
stops-none = 停止はまだありません。
stops-lifted-all = すべて解除

# Ages and waits.
age-seconds = { $count } 秒
age-minutes = { $count } 分
age-hours = { $count } 時間
age-days = { $count } 日
