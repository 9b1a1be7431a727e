# What a gate answers, for the page that a clerk or an operator of the issuing system sees.

gate-issue = 証明書を発行できます。
gate-hold = 証明書の発行を保留しています。
gate-unknown = 証明書の発行可否を判定できません。保留として扱ってください。
gate-until = { $time } まで有効です。
gate-baseline = 修正ベースライン { $version }
gate-decision = 判定番号 { $decision }
