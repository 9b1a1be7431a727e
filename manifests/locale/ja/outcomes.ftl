# How items, hosts and sites stand: short words for tables.

outcome-not-applicable = 対象外
outcome-applied = 適用済み
outcome-waived = 例外
outcome-pending = 適用期日前
outcome-no-fix = 修正未提供
outcome-unknown = 不明
outcome-absent = 欠落
outcome-ambiguous = 重複
outcome-drifted = 相違
outcome-not-loaded = 未反映
outcome-missing = 未適用
outcome-wrong-variant = 構成違い
outcome-altered = 改変
outcome-denied = 使用禁止
outcome-stale = 証拠切れ

verdict-issue = 発行可
verdict-hold = 保留

standing-held = 保留
standing-silent = 無応答
standing-stopped = 停止中
standing-verified = 確認済み
# The evidence shown last has run out, and nothing newer has arrived.
standing-lapsed = 不明

kind-fix = 修正
kind-lock = 排他制御
kind-setting = 設定
kind-program = プログラム
kind-config = 設定ファイル
