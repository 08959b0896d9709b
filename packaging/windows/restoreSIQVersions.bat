@rem Passes everything on: verbund knows the name.
@"%~dp0verbund.exe" restoreSIQVersions %*
@exit /b %ERRORLEVEL%
